"""Redaction: which names are secret, where secrets may stand, that none is left in any output, and that it ends in time.

The property test plants generated secrets under generated spellings of secret names in every place that an entry has, and
looks for them in every output that is not a pcapng: as they are, percent-encoded, in base64, escaped as JSON and HTML."""

import html
import json
import os
import random
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hark.decode.events import Message, Side
from hark.model.changes import Began, Ended, MessageSeen, Upgraded
from hark.model.imported import EntryReader
from hark.views.curl import Commands
from hark.views.entries import Entries, JsonLines
from hark.views.feed import Changes, Feed
from hark.views.har import Har
from hark.views.page import Page
from hark.views.redact import Redacted
from hark.views.redaction import limits
from hark.views.redaction.entry import Redaction
from hark.views.redaction.marks import Marks, forms
from hark.views.redaction.names import Secrecy, secrecy, word_set
from hark.views.summary import Summary
from hark.views.terminal import Terminal
from hark.views.waterfall import Waterfall

SALT = b"a salt"

# -- names -------------------------------------------------------------------------------------------------------------

SECRET_NAMES = word_set("""
password newPassword new_password currentPassword current-password password2 password_confirmation passwordConfirmation
PASSWORD PassWord passWord user[password] user%5Bpassword%5D user.password pass%77ord pass\\u0077ord DB_PASSWORD db_passwd
secretKey SecretAccessKey secret_access_key consumerSecret webhookSecret encryptionKey userToken authenticationToken
tokens sessionKey privateKeyPem pass pw pwd otp totp SAMLResponse SAMLRequest connectionString connection_string api_key
apikey apiKey APIKey APIKEY X-Api-Key accessKey AccessKey client_secret clientsecret clientSecret refresh_token
access_token id_token idToken accesstoken authtoken auth_token signingKey csrf_token csrfmiddlewaretoken
authenticity_token __RequestVerificationToken _csrf X-XSRF-TOKEN sessionid session_id sessionId PHPSESSID JSESSIONID
connect.sid sid cookie Set-Cookie jwt bearer pin userPin pin_code PIN mfa mfa_code cvv cvv2 cardNumber card_number ssn
iban SENTRY_DSN webhook webhook_url signature X-Amz-Signature X-Hub-Signature-256 sig passphrase AWS_SECRET_ACCESS_KEY
GITHUB_TOKEN NPM_TOKEN credential credentials creds X-Amz-Credential auth authorization Proxy-Authorization X-Auth-Token
PRIVATE-TOKEN code_verifier device_code verificationCode recovery_codes securityCode privateKey masterKey AccountKey
SharedAccessKey Ocp-Apim-Subscription-Key x-functions-key userpassword oldpassword newpassword1 passwordRepeat
password_hash loginPassword SMTP_PASS basicAuth oauth_token_secret oauth_signature oauth_verifier client_assertion
id_token_hint security_answer seed_phrase accessToken2 tokenSecret appSecret shared-secret password[0] unlockCode
licenseKey ssh_private_key x-amz-security-token X-Vault-Token creditCardNumber next_page_token
""")

PLAIN_NAMES = word_set("""
monkey passenger passengers author authors author_id authored authority tokenizer tokenize max_tokens total_tokens
prompt_tokens completion_tokens tokens_used tokenCount reasoning_tokens max_completion_tokens completion_tokens_details
x-ratelimit-remaining-tokens eos_token pad_token_id passed compass bypass key keys keyboard primary_key publicKey
public_key sort_key cacheKey keyId idempotency-key Idempotency-Key Sec-WebSocket-Key name user username email token_type
tokenType expires_in token_endpoint authorization_endpoint password_policy passwordMinLength password_expires_at client_id
state code status_code errorCode countryCode zip_code page Accept content-type etag secretary secretion session_timeout
authenticated pinned opinion spin shipping president decode hash nonce ticket pagination stop desktop side consider
code_challenge code_challenge_method webhook_events grant_type redirect_uri response_type scope design assertions
""")


@pytest.mark.parametrize("name", sorted(SECRET_NAMES))
def test_names_of_secrets(name: str) -> None:
    assert secrecy(name) >= Secrecy.TEXT


@pytest.mark.parametrize("name", sorted(PLAIN_NAMES))
def test_names_of_no_secrets(name: str) -> None:
    assert secrecy(name) < Secrecy.TEXT


@pytest.mark.parametrize("value, hidden", [("{}", True), ("17", False), ("true", False), ("null", False)])
@pytest.mark.parametrize("name", ["tokens", "token", "session"])
def test_counts_and_flags_stay(name: str, value: str, hidden: bool) -> None:
    """A number under "tokens" is a count; nothing else than text or a number is a secret."""
    text = f'{{"{name}": {value}}}' if not hidden else f'{{"{name}": "geheim-23"}}'
    expected = hidden or (name == "token" and value == "17")
    assert ("redacted-" in Redaction(SALT).message(text)) is expected


# -- places in texts -----------------------------------------------------------------------------------------------------

SECRET = "Zq8!x-Geheim_42"
TEXTS = [
    '{"newPassword":"%s"}',
    '{"a":{"password" : "%s", "b":1}}',
    '{"a":1}\n{"password":"%s"}\n{"b":2}\n',
    '{"x":"{\\"password\\":\\"%s\\"}"}',
    '{"x":"{\\"y\\":\\"{\\\\\\"password\\\\\\":\\\\\\"%s\\\\\\"}\\"}"}',
    '{"password":"%s',  # cut short
    '{"password":"a%s',
    '{"password":["x","%s"]}',
    '{"password":{"value":"%s"}}',
    '{"tokens":["%s"]}',
    '{"pass\\u0077ord":"%s"}',
    '"client secret": "%s"',
    '{"name":"API_TOKEN","value":"%s"}',
    '{"value":"%s","name":"API_TOKEN"}',
    '["Authorization", "Bearer %s"]',
    "{'password': '%s', 'a': 1}",
    "{u'password': u'%s'}",
    "{'password': b'%s'}",
    '{password: "%s"}',
    "{password: %s}",
    'params["password"] = "%s"',
    "token => %s",
    "password: %s",
    'a: 1\n  password: "%s"\nb: 2',
    "- name: DB_PASSWORD\n  value: %s\n",
    "password: |\n  %s\nother: x",
    "tokens:\n  - %s\n  - b\nother: y",
    "PASSWORD=%s",
    "A=1\nexport DB_PASSWORD=%s\nB=2",
    "[db]\ndb_password = %s\n",
    "level=info password=%s user=bob",
    "Server=x;User Id=sa;Password=%s;Database=y",
    "<password>%s</password>",
    '<ns:Password Type="x">%s</ns:Password>',
    "<password><value>%s</value></password>",
    "<password><![CDATA[%s]]></password>",
    "<a><password>%s",
    '<a password="%s"/>',
    "<a password='%s'/>",
    '<property name="password" value="%s"/>',
    '<property value="%s" name="password"/>',
    '<property name="password">%s</property>',
    "<key>password</key>\n<string>%s</string>",
    "<member><name>password</name><value><string>%s</string></value></member>",
    '<input type="password" name="q" value="%s">',
    '<meta name="csrf-token" content="%s">',
    'mutation { login(email: "a", password: "%s") { x } }',
    "a=b&password=%s&c=d",
    "newPassword=%s",
    "pass%%77ord=%s",
    "code=%s",
    "https://a/b?x=1&token=%s#f",
    "https://a/b?x=1&code=%s#f",
    "https://a/b;jsessionid=%s?x=1",
    "https://a/#access_token=%s&x=1",
    "https://a/?next=https%%3A%%2F%%2Fb%%2F%%3Ftoken%%3D%s",
    "https://a/?next=https%%253A%%252F%%252Fb%%252F%%253Ftoken%%253D%s",
    'payload=%%7B%%22password%%22%%3A%%22%s%%22%%7D',
    "https://user:%s@h/",
    "see https://h/?client_secret=%s now",
    '{"url":"https://h/?a=b\\u0026token=%s\\u0026c=d"}',
    "&lt;a href=/?a=b&amp;token=%s&amp;c=d",
    "Authorization: Bearer %s",
    "> Cookie: a=%s; b=c",
    "Set-Cookie: sid=%s; Path=/",
    'curl -H "X-Api-Key: %s" z',
    "--password %s",
    "--password=%s",
    "machine h login bob password %s",
    "Your new password is: %s",
    "<tr><td>Password</td><td>%s</td></tr>",
    'password = """%s"""',
    "auth=('user', '%s')",
    ":password => '%s', a: 1",
    "credentials:\n  type: x\n  value: %s\n",
    '{"a":"https:\\/\\/u:%s@h\\/"}',
    ")]}',\n{\"token\":\"%s\"}",
    '<a href="/x?a=1&amp;token=%s">',
    'event: x\ndata: {"token":"%s"}\n\n',
    '{"message": "password=%s"}',
    '--x\r\nContent-Disposition: form-data; name="newPassword"\r\n\r\n%s\r\n--x--\r\n',
    '--x\nContent-Type: text/plain\nContent-Disposition: form-data; name=newPassword\n\n%s\n--x--\n',
    "--x\r\ncontent-disposition: form-data; name*=UTF-8''pass%%77ord\r\nA: b\r\n\r\n%s\r\n--x--\r\n",
]  # fmt: skip


@pytest.mark.parametrize("text", [text.replace("%%", "\0").replace("%s", SECRET).replace("\0", "%") for text in TEXTS])
def test_places(text: str) -> None:
    """Hidden where it stands, and what is around it is as it was; twice is once."""
    redaction = Redaction(SALT)
    made = redaction.message(text)
    assert SECRET not in made and "Geheim" not in made, made
    assert made.count("redacted-") >= 1 and Redaction(b"other").message(made) == made
    assert text.partition(SECRET)[0].startswith(made.partition("redacted-")[0])


@pytest.mark.parametrize("text, made", [
    ('{"pin": 1234, "a": 1}', '{"pin": "M", "a": 1}'),
    ("{'otp': 482913}", "{'otp': 'M'}"),
    ('{"x":"{\\"cvv\\":123}"}', '{"x":"{\\"cvv\\":\\"M\\"}"}'),
    ('{"password": null, "token": false, "pin": true}', '{"password": null, "token": false, "pin": true}'),
    ('{"usage": {"total_tokens": 17, "max_tokens": 4096}}', '{"usage": {"total_tokens": 17, "max_tokens": 4096}}'),
    ('{"credentials": {"type": "basic", "user": "bob23"}}', '{"credentials": {"type": "basic", "user": "M"}}'),
])  # fmt: skip
def test_json_stays_json(text: str, made: str) -> None:
    """Numbers become marks in quotes; flags, counts and kinds stay."""
    assert re.sub(r"redacted-[0-9a-f]{8}", "M", Redaction(SALT).message(text)) == made


@pytest.mark.parametrize("text", [
    "state of the token ring", "monkey=banana", "passwords are hard", "https://example.com/secretary?monkey=1",
    '{"author": "me", "key": "a", "passed": "yes", "code": "E17"}', "https://example.com/?state=open&page=2&sort_key=x",
    "Basic authentication is required", "WWW-Authenticate: Basic realm=\"x\"", '["username", "password", "email"]',
    "function f(a){return a.token=b.token,{password:a.password}}", "the disk-based sk-learn", "git@github.com:a/b",
    "ssh://git@example.com/a", "https://example.com/mail@x", "pass: ${{ secrets.PASS }}",
    '{"methods":["client_secret_basic","client_secret_post"],"id_token_signing_alg_values_supported":["RS256"]}',
    '{"fields":["username","password"],"token":{"type":"string"}}', "token=undefined&session=null",
    '{"model": "m", "max_tokens": 5, "stop": "\\n", "tokenizer": "bpe"}', "Content-Security-Policy: script-src 'self'",
])  # fmt: skip
def test_what_stays(text: str) -> None:
    mime = "application/javascript" if text.startswith("function") else "text/plain"
    entry = {"response": {"content": {"mimeType": mime, "text": text}}}
    assert Redaction(SALT).entry(entry) == entry


def entry_of(**parts: Any) -> dict[str, Any]:
    return {"request": {}, "response": {}, **parts}


def coded(data: bytes) -> str:
    return b64encode(data).decode()


def header(name: str, value: str) -> dict[str, Any]:
    return entry_of(request={"headers": [{"name": name, "value": value}]})


def command(*words: str) -> dict[str, Any]:
    return entry_of(_process={"cmdline": list(words)})


PART = b'--q\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n\0\xff\xfe\r\n--q\r\nContent-Disposition: form-data; name="newPassword"\r\n\r\n%s\r\n--q--\r\n' % SECRET.encode()  # fmt: skip
ENTRIES = [
    entry_of(request={"headers": [{"name": "Cookie", "value": SECRET}], "cookies": [{"name": SECRET, "value": ""}]}),
    entry_of(response={"headers": [{"name": "Set-Cookie", "value": f"{SECRET}; Path=/"}]}),
    header("Set-Cookie", f"a=b\nsid={SECRET}; HttpOnly"), header("COOKIE", f"a=b;sid={SECRET}"), header("Authorization", f"{SECRET} more"),
    header("Authorization", SECRET), header("Authorization", f"AWS4-HMAC-SHA256 Credential={SECRET}/2, Signature={SECRET}"),
    header("Authorization", f'Digest username="x", response="{SECRET}"'), header("Link", f"<https://h/?token={SECRET}>; rel=next"),
    header("Sec-WebSocket-Protocol", f"v1, base64url.bearer.authorization.k8s.io.{SECRET}"), header("Refresh", f"0; url=/?token={SECRET}"),
    entry_of(request={"postData": {"mimeType": "Multipart/form-data; boundary=q", "_encoding": "base64", "text": coded(PART)}}),
    entry_of(request={"headers": [{"name": "X-Token", "value": SECRET}]}, response={"content": {"mimeType": "application/grpc", "encoding": "base64", "text": coded(b"\0\1" + SECRET.encode() + b"\x10")}}),
    entry_of(request={"headers": [{"name": "X-Token", "value": SECRET}], "url": f"https://h/reset/{SECRET}/x"}),
    entry_of(request={"url": "https://h/?state=" + coded(json.dumps({"password": SECRET}).encode())}),
    entry_of(request={"url": f"https://u:{SECRET}@@h/"}), entry_of(request={"url": f"https://h/?user%255Bpassword%255D={SECRET}"}),
    entry_of(response={"content": {"mimeType": "text/csv", "text": f"name,password\nbob,{SECRET}\n"}}),
    entry_of(_webSocketMessages=[{"type": "send", "time": 1, "opcode": 2, "data": coded(b'\0{"password":"%s"}' % SECRET.encode())}]),
    entry_of(_grpc={"messages": [{"type": "send", "message": {"userPassword": SECRET, "creds": {"a": SECRET}}}]}),
    entry_of(_custom={"deep": [{"apiKey": SECRET}], "list": [f"password={SECRET}"]}, _initiator={"url": f"https://h/?token={SECRET}"}),
    entry_of(_trouble=f"failed for https://h/?token={SECRET}", comment=f"token={SECRET}"),
    command("x", "-password", SECRET), command("x", f"--api-key={SECRET}"), command("curl", "--json", f'{{"newPassword": "{SECRET}"}}'),
    command("wget", f"--post-data=user=x&newPassword={SECRET}"), command("wget", f"--header=Authorization: Bearer {SECRET}"),
    command("curl", f"-ume:{SECRET}"), command("curl", "-b", f"sid={SECRET}"), command("curl", "--data-urlencode", f"password={SECRET} a&b"),
    command("http", "POST", "h", f"password={SECRET}", f"X-Api-Key:{SECRET}"), command("mysql", f"-p{SECRET}"), command("docker", "login", "-p", SECRET),
    command("node", "-e", f"fetch('http://h', {{headers: {{authorization: 'Bearer {SECRET}'}}}})"), command("env", f"TOKEN={SECRET}", "x"),
    command("python3", "-c", f"requests.get('http://h', auth=('bob', '{SECRET}'))"), command("sh", "-c", f"sudo sh -c \"curl -u 'me:{SECRET}' h\""),
]  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: json.dumps(entry)[:60])
def test_places_of_an_entry(entry: dict[str, Any]) -> None:
    """Headers, bodies that are no text, messages, fields of other makers, command lines."""
    made = Redaction(SALT).entry(entry)
    text = json.dumps(made)
    texts = [
        text,
        *(
            b64decode(blob).decode("latin-1")
            for blob in re.findall(r"[A-Za-z0-9+/]{16,}={0,2}", text)
            if len(blob) % 4 == 0
        ),
    ]
    assert "redacted-" in "".join(texts) and not any("Geheim" in one for one in texts), made
    assert Redaction(b"other").entry(made) == made


SHAPES = [
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "ghp_" + "a1B2" * 9, "gho_" + "a1B2" * 9, "github_pat_" + "a1B2" * 9, "glpat-" + "a1B2" * 5, "xoxb-12345-67890-abc",
    "AKIA" + "A1B2" * 4, "ASIA" + "A1B2" * 4, "sk_live_" + "a1B2" * 5, "rk_test_" + "a1B2" * 5, "AIza" + "a1B2" * 9,
    "ya29." + "a1B2" * 9, "sk-ant-api03-" + "a1B2" * 9, "sk-proj-" + "a1B2" * 9, "npm_" + "a1B2" * 9,
    "pypi-" + "AgEIcHlwaS5vcmc" * 3, "SG." + "a1B2" * 5 + "." + "a1B2" * 9, "hf_" + "a1B2" * 9, "whsec_" + "a1B2" * 6,
    "GOCSPX-" + "a1B2" * 6, "hvs." + "a1B2" * 6, "dop_v1_" + "0a1b" * 16, "123456789:AA" + "a1B2" * 9,
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nMIIEcut",
]  # fmt: skip


@pytest.mark.parametrize("around", ["%s", "see %s.", '{"x": "%s"}', "https://h/p/%s?a=b", "a%%3D%s", "x\\n%s", "(%s)"])
@pytest.mark.parametrize("token", SHAPES)
def test_shapes_of_tokens(token: str, around: str) -> None:
    made = Redaction(SALT).message(around.replace("%%", "%").replace("%s", token))
    assert token not in made and "redacted-" in made and token[-12:] not in made


# -- values --------------------------------------------------------------------------------------------------------------


def test_what_one_place_tells_is_hidden_in_every_other() -> None:
    """A password of a form, a PIN that is too short for it, and a cookie's value that everybody has."""
    redaction = Redaction(SALT)
    first = {"request": {"postData": {"mimeType": "Application/X-WWW-Form-URLEncoded; charset=utf-8", "text": "password=Ab%2F1%26x+yz&pin=4711&a=b"}}}  # fmt: skip
    redaction.entry(first | {"response": {"headers": [{"name": "Set-Cookie", "value": "theme=dark-blue; Path=/"}]}})
    secret = "Ab/1&x yz"
    for text in (secret, quote(secret, ""), quote_plus(secret), json.dumps(secret), html.escape(secret),
                 json.dumps(json.dumps(secret)), b64encode(f"me:{secret}".encode()).decode(), f"/{quote(secret, '')}/x"):  # fmt: skip
        made = redaction.entry({"response": {"content": {"mimeType": "text/plain", "text": f"<{text}>"}}})
        assert redaction.mark(secret) in json.dumps(made), text
    assert redaction.message("4711 is dark-blue, 23 Ab/1&x yz") == f"4711 is dark-blue, 23 {redaction.mark(secret)}"


def test_equal_marks_in_one_output_and_others_in_the_next() -> None:
    """Nobody who has the page can try all PINs."""
    one, other = Redaction(os.urandom(16)), Redaction(os.urandom(16))
    assert one.mark("1234") == one.mark("1234") != other.mark("1234")
    assert re.fullmatch("redacted-[0-9a-f]{8}", one.mark("1234")) and one.mark(one.mark("1234")) == one.mark("1234")


def test_a_body_that_is_cut_in_the_middle_of_a_secret() -> None:
    secret = "geheim-23-ist-es"
    headers = [{"name": "X-Api-Key", "value": secret}]
    cut = {"mimeType": "text/plain", "text": "it is geheim-23-i", "comment": "only the first 17 of 23 bytes were kept"}
    made = Redaction(SALT).entry({"request": {"headers": headers}, "response": {"content": cut}})
    assert "geheim" not in json.dumps(made)


def test_what_is_known_is_bounded() -> None:
    marks = Marks(SALT)
    for number in range(2 * limits.KNOWN_MOST):
        marks.begin()
        marks.secret(f"secret-number-{number:08x}")
    assert len(marks._known) == limits.KNOWN_MOST
    assert marks.hide("secret-number-00000000") == "secret-number-00000000"
    assert marks.hide(f"secret-number-{number:08x}").startswith("redacted-")


@pytest.mark.parametrize("secret", ["000000000", "abababab12", "aaaaaaaaaaaaab1"])
@pytest.mark.parametrize("before", ["", "=", "   =", "x=;", '<token value="'])
def test_a_value_that_repeats_itself_is_found(secret: str, before: str) -> None:
    marks = Marks(SALT)
    marks.secret(secret)
    for form in forms(secret):
        assert marks.hide(f"{before}{form} ") == f"{before}{marks.mark(secret)} ", form


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=6, max_size=40), st.data())
def test_every_writing_of_a_value_is_found(secret: str, data: st.DataObject) -> None:
    """Whatever stands around it, as long as it does not go on as a word."""
    marks = Marks(SALT)
    if marks.secret(secret) == secret or secret not in marks._known:
        return
    form = data.draw(st.sampled_from(forms(secret)))
    before, behind = (data.draw(st.text(" \n\t=,;\"'<>()", max_size=7)) for _ in range(2))
    assert marks.mark(secret) in marks.hide(f"{before}{form}{behind}")


# -- everything at once --------------------------------------------------------------------------------------------------

ROOTS = ["password", "secret", "token", "api_key", "access_token", "client_secret", "private_key", "passphrase", "credential", "session_id", "otp_code", "jwt"]  # fmt: skip
LEADS, TAILS = (
    ["", "new", "current", "user", "my", "x", "admin", "web_hook"],
    ["", "2", "confirmation", "value", "hash"],
)
STYLES: list[Callable[[list[str]], str]] = [
    "_".join, "-".join, ".".join, lambda words: "_".join(words).upper(), lambda words: "-".join(map(str.title, words)),
    lambda words: words[0] + "".join(map(str.title, words[1:])), lambda words: "".join(map(str.title, words)),
]  # fmt: skip


@st.composite
def names(draw: Any) -> str:
    words = [
        *draw(st.sampled_from(LEADS)).split("_"),
        *draw(st.sampled_from(ROOTS)).split("_"),
        draw(st.sampled_from(TAILS)),
    ]
    return draw(st.sampled_from(STYLES))([word for word in words if word])


SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~+/=!$*@é"
RICH = SIGNS + "\"'<>&\\;,?#% \t|{}[]()^`"  # in places that have a writing for all of them
COOKIES = (8, 10, 13, 22)  # the places that have none


def secrets_of(seed: int) -> list[str]:
    """Secrets that have nothing in common, whatever seed hypothesis shrinks to."""
    made = random.Random(seed)
    signs = [SIGNS if number in COOKIES else RICH for number in range(25)]
    return [f"Q{''.join(made.choices(one, k=made.randint(10, 28)))}z" for one in signs]


def planted(name: str, s: list[str]) -> dict[str, Any]:
    """An entry with a secret of its own in every place."""
    part = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{s[0]}\r\n--b--\r\n'
    nested = json.dumps({"in": json.dumps({name: s[1]}), "list": [{"deep": {name: s[2]}}]})
    url = f"https://u:{quote(s[3], '')}@example.com/p;{name}={quote(s[4], '')}?{name}={quote_plus(s[5])}&next={quote('https://x/?' + name + '=' + quote(s[6], ''), '')}#{name}={quote(s[7], '')}"  # fmt: skip
    return {
        "startedDateTime": "2026-01-01T00:00:00Z", "time": 1.5, "connection": "1", "cache": {}, "timings": {},
        "request": {
            "method": "POST", "url": url, "httpVersion": "HTTP/1.1", "cookies": [{"name": "c", "value": s[8]}],
            "headers": [{"name": "Cookie", "value": f"c={s[8]}; d"}, {"name": f"X-{name.replace('.', '-')}", "value": s[9]},
                        {"name": "Authorization", "value": f"Bearer {s[10]}"}, {"name": "Referer", "value": url},
                        {"name": "Proxy-Authorization", "value": "Basic " + b64encode(f"me:{s[11]}".encode()).decode()}],
            "queryString": [{"name": name, "value": s[5]}], "bodySize": 9, "headersSize": 9,
            "postData": {"mimeType": "Multipart/Form-Data; boundary=b", "text": part, "params": [{"name": name, "value": s[0]}]},
            "_trailers": [{"name": name, "value": s[12]}],
        },
        "response": {
            "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [{"name": "c", "value": s[13], "path": "/"}],
            "headers": [{"name": "set-cookie", "value": f"c={s[13]}; Path=/"}, {"name": "location", "value": f"/x?{name}={quote(s[14], '')}"},
                        {"name": "content-type", "value": "Application/JSON"}],
            "redirectURL": f"/x?{name}={quote(s[14], '')}", "bodySize": 9, "headersSize": 9,
            "content": {"mimeType": "Application/JSON", "size": 9, "text": nested},
        },
        "_process": {"pid": 7, "name": "curl", "exe": "/usr/bin/curl", "ppid": 1, "cmdline": [
            "curl", "-u", f"me:{s[11]}", f"--{name}", s[15], f"--{name}={s[16]}", "-H", f"X-{name}: {s[17]}",
            "-d", f"{name}={quote(s[18], '')}&code={quote(s[19], '')}", "-b", f"c={s[8]}", url, f"{name.upper()}={s[20]}"]},
        "_events": [{"time": 1, "event": "message", "id": "1", "data": f"<a><{name}>{html.escape(s[21])}</{name}></a>"}],
        "comment": f"config: {{'{name}': '{s[22]}'}}",
    }  # fmt: skip


class Kept:
    """What all views wrote."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self.data += data


def told(entries: list[dict[str, Any]], messages: list[Message]) -> bytes:
    """Everything that any view writes of the entries and of what is said in the last one."""
    kept, lines = Kept(), Kept()
    sinks = [JsonLines(kept.write), Har(lambda data, at, tail: kept.write(data), "1"), Page(kept.write)]
    views: list[Any] = [Entries(sinks), Terminal(kept.write, 2), Commands(kept.write), Summary(kept.write), Waterfall(kept.write, 0), Feed(lines.write)]  # fmt: skip
    view, reader = Redacted(views, SALT), EntryReader()
    for entry in entries:
        exchange = reader.exchange(json.loads(json.dumps(entry)))
        for step in (Began, Upgraded):
            view.change(step(exchange))
        for message in messages:
            view.change(MessageSeen(exchange, message))
        view.change(Ended(exchange))
    view.end()
    changes, behind = Changes(), Terminal(kept.write, 2)  # as hark watch shows it
    for line in lines.data.splitlines():
        change = changes.change(json.loads(line))
        if change is not None:
            behind.change(change)
    behind.end()
    return bytes(kept.data + lines.data)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, phases=[Phase.generate])  # seeds have nothing to shrink
@given(names(), st.integers(0, 1 << 32))
def test_no_secret_in_any_output(name: str, seed: int) -> None:
    """Not even eight characters of one."""
    secrets = secrets_of(seed)
    entry = planted(name, secrets)
    text = json.dumps({name: secrets[23]}).encode()
    messages = [Message(1, 1, Side.CLIENT, 1, "text", text, len(text)), Message(1, 1, Side.SERVER, 1, "binary", b"\0\1" + text, 9)]  # fmt: skip
    echo = planted("harmless", secrets)  # the same values under a name that says nothing, later
    everything = told([entry, echo], messages).decode("utf-8")
    windows = {everything[start : start + 8] for start in range(len(everything) - 7)}
    for number, secret in enumerate(secrets[:24]):
        written = {secret, quote(secret, ""), quote_plus(secret), json.dumps(secret)[1:-1], html.escape(secret)}
        written.add(b64encode(secret.encode()).decode().rstrip("=")[:-1])
        for form in written:
            for part in {form[start : start + 8] for start in range(len(form) - 7)} & windows:
                at = everything.find(part) if re.search(r"[a-zA-Z]{2}", part) else -1
                assert at < 0, f"{number}: {form} of {name} in {everything[max(at - 200, 0) : at + 60]}"
    for coded in re.findall(r"[A-Za-z0-9+/]{16,}={0,2}", everything):
        assert not any(b64encode(f"me:{secret}".encode()).decode() == coded for secret in secrets)


# -- hostile input -------------------------------------------------------------------------------------------------------

UNITS = ["{", "[", '{"a":', '{"tokens":[', '{"password":', '"password":"', "\\", '"', "'", '\\"', "a", " ", "<", "<password>", "<a ", "eyJ-", "sk-", "://", "://a@a@", "%25", "?a=%3F",
         "password=", "password: ", "password:\n", ";token=a", "--x\nContent-Disposition: form-data; name=pin\n", "-----BEGIN PRIVATE KEY-----", "&", "\\u0061", 'name="pin" ', '"name":"pin",', '<!ENTITY a "&b;&b;">', "Cookie: a=b;", "(password=", "auth='\\'"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_hostile_texts_end_in_time(unit: str) -> None:
    """Twice as much takes about twice as long: what grows with the square takes minutes for a megabyte."""
    redaction = Redaction(SALT)
    for number in range(64):
        redaction.secret(f"known-secret-{number}")
    begun = time.process_time()
    redaction.message(unit * (100_000 // len(unit)))
    assert time.process_time() - begun < 3  # s; the slowest needs a tenth of that


@settings(max_examples=200, deadline=None)
@given(st.text("{}[]<>\"'\\:=&;?#%@/-_ \n\tpaswordtkeniéC0129", max_size=300))
def test_any_text_is_taken_and_twice_is_once(text: str) -> None:
    made = Redaction(SALT).message(text)
    assert isinstance(made, str)
    made.encode("utf-8")


def test_nested_a_hundred_thousand_deep() -> None:
    deep: Any = "end"
    for _ in range(900):
        deep = [{"a": deep}]
    Redaction(SALT).entry({"_custom": deep})
    text = '{"a":' * 100_000 + '{"password":"geheim-23"}' + "}" * 100_000
    assert "geheim" not in Redaction(SALT).message(text)
