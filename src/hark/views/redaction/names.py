"""Which names are names of secrets.

What   A name is split at case changes, digits and separators ("user[newPassword]", "X-Api-Key", "APIKey2"); joined
       words ("phpsessid", "authtoken") are recognized by their beginning or end. The words decide: names of secrets
       (SECRETS), words that are secret at the end of a name only (LAST), words that are secret with the word before
       them (KEY_OF, CODE_OF, NUMBER_OF), and ends that make a name harmless (token_type, password_policy).
Why    Lists of whole names miss newPassword and consumerSecret; searching for "pass" hits passenger.
Origin The words are those of RFC 6749, 7636, 7521, 8628 and OpenID Connect (token, code, code_verifier, assertion,
       client_secret, device_code), SAML bindings (SAMLResponse, SAMLRequest, SAMLart), RFC 9110 §11 and RFC 6265
       (authorization, cookie), of the session and anti-forgery fields that web frameworks have by default (PHPSESSID,
       JSESSIONID, connect.sid, csrfmiddlewaretoken, authenticity_token, __RequestVerificationToken), of clouds' signed
       URLs (X-Amz-Signature, sig), of PCI DSS (card number, cvv), and common names of passwords.
"""

import re
from enum import IntEnum
from itertools import pairwise
from unicodedata import normalize
from urllib.parse import unquote

from hark.views.redaction.limits import NAMES_MOST, NESTED


class Secrecy(IntEnum):
    """How secret the value of a name is."""

    NONE = 0
    QUERY = 1  # in the query of a URL and in a form; a common word elsewhere ("code": 404)
    TEXT = 2  # text is secret; a number is a count, an object has names of its own
    ALL = 3  # any value, and everything inside it


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


# Secret anywhere in a name.
SECRETS = word_set(
    "password passwords passwd passwds passphrase passphrases passcode passcodes pwd pwds pswd passwrd passwort "
    "kennwort motdepasse contrasena senha wachtwoord secret secrets token credential credentials creds cred jwt "
    "jwts otp totp hotp cvv cvv2 cvc cvc2 ssn iban pincode apikey apikeys authkey accesskey secretkey "
    "privatekey mnemonic pkpass"
)
# Secret there too, but a number under such a name is a count, and an object has names of its own.
COUNTED = word_set("tokens csrf xsrf")
# Secret at the end of a name, or before a word without meaning of its own.
LAST = word_set(
    "pass pw pword psw auth oauth oauth2 authorization authentication session sessions sess sessionid sessid "
    "sid sig signature hmac cookie cookies cookie2 bearer assertion dsn webhook samlresponse samlrequest "
    "samlart wresult crumb ticketid"
)
LAST_ALL = word_set("pin pins mfa tan cvn csc pan ccnum ccn pkey")
QUERIES = word_set("key keys code state nonce ticket hash auth sid sig token access jwt")
KEY_OF = word_set(
    "api app access secret private encryption decryption encrypt decrypt cipher crypto signing sign signed "
    "master auth authorization session shared storage account service subscription license licence consumer "
    "application ssh pgp gpg aes rsa dsa ec ed25519 hmac jwt tls ssl server deploy deployment stream client "
    "developer dev admin user security webhook functions function ingest ingestion instrumentation x509 host "
    "hostkey write read live test prod sas root recovery backup device push vapid fcm gcm integration personal "
    "merchant billing payment stripe openai anthropic google azure aws github gitlab mailgun sendgrid twilio "
    "datadog algolia wallet bot"
)
CODE_OF = word_set(
    "verification verify security recovery backup auth authorization authentication device user mfa otp totp "
    "sms login access activation pin confirm confirmation time tfa fa factor reset oauth grant scratch unlock "
    "redeem registration pairing sync"
)
NUMBER_OF = word_set("card cc pan account acct ssn security passport routing creditcard debitcard")
TOGETHER = {
    ("connection", "string"), ("conn", "string"), ("conn", "str"), ("code", "verifier"), ("oauth", "verifier"),
    ("credit", "card"), ("debit", "card"), ("social", "security"), ("security", "answer"), ("secret", "answer"),
    ("seed", "phrase"), ("recovery", "phrase"), ("backup", "phrase"), ("pass", "word"), ("pass", "wd"),
    ("pass", "phrase"), ("pass", "code"), ("pass", "key"), ("one", "time"), ("saml", "response"),
    ("saml", "request"), ("saml", "art"), ("sess", "id"), ("session", "id"), ("sessions", "id"), ("card", "no"),
    ("card", "num"), ("cc", "num"), ("c", "vv"),
}  # fmt: skip
# Words that may follow a secret's name without changing its meaning.
ORNAMENTS = word_set(
    "value string str text raw plain plaintext b64 base64 hash hashed digest pem der encoded encrypted enc "
    "confirm confirmation confirmed repeat repeated again verify verification check new old current previous "
    "next field input param env var header data content salt hex utf"
)
# A name that ends so describes a secret, and is none.
HARMLESS = word_set(
    "url urls uri uris endpoint endpoints type types kind name names expires expire expired expiry expiration "
    "exp ttl age lifetime count counts length len size limit limits min max policy policies strength rule rules "
    "enabled enable disabled required supported method methods algorithm algorithms alg format status valid "
    "invalid changed updated created issued at on by in time date timeout day days hour hours minute minutes "
    "second seconds sec used usage usages details total label placeholder title description help error errors "
    "link page path route reset forgot forgotten version versions index position provider providers scope "
    "scopes issuer audience ref refs reference manager less endpointurl domain samesite secure prefix suffix "
    "attempts retries remaining validator rotation request_limit requests cost price budget per logprobs "
    "logprob window file files filename stdin fd command prompt path dir directory helper plugin form page "
    "button icon section screen dialog component class"
)
# Tokens that are counted, or of a language model's vocabulary.
COUNTERS = word_set(
    "max min total prompt completion input output reasoning cached cache num number n used remaining limit "
    "ratelimit count audio image usage avg mean sum budget thinking predicted accepted rejected generated new "
    "creation read billed billable context window"
)
VOCABULARY = word_set(
    "eos bos pad unk sep cls mask stop special added begin end pre post image video audio chat sot eot"
)
_END = re.compile(
    r"(?:password|passwd|passphrase|passcode|pwd|secret|token|apikey|credential|sessionid|sessid|accesskey|secretkey|"
    r"privatekey|encryptionkey|signingkey|authkey|connectionstring|jwt|webhookurl|otp|otpcode|cardnumber|securitycode|"
    rf"verificationcode)s?(?:{'|'.join(sorted(ORNAMENTS))})*$"
)
_BEGIN = re.compile(
    r"(?:password|passwd|passphrase|passcode|secretkey|secretaccess|accesstoken|authtoken|apikey|privatekey|clientsecret|"
    r"csrf|xsrf|samlresponse|samlrequest|cardnumber|verificationcode|authorizationcode|codeverifier)(.*)$"
)
_RUN_TOGETHER_NOT = word_set("betoken adopt laptop desktop stop robotop")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")

_known: dict[str, Secrecy] = {}


def secrecy(name: str) -> Secrecy:
    """How secret the value of this name is."""
    level = _known.get(name)
    if level is None:
        if len(_known) >= NAMES_MOST:
            _known.clear()
        level = _judged(_plain(name))
        if len(name) < 256:
            _known[name] = level
    return level


def _plain(name: str) -> str:
    """The name, decoded."""
    for _ in range(NESTED):
        if "%" not in name:
            break
        name = unquote(name)
    if "\\" in name:
        name = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)
    return name if name.isascii() else normalize("NFKC", name)


def split(name: str) -> list[str]:
    """The words of a name, in lower case."""
    return [word.lower() for word in _PARTS.findall(name)]


def _judged(name: str) -> Secrecy:
    words = split(name)
    if not words:
        return Secrecy.NONE
    return max(_ofword_set(words), _of_query(words))


def _of_query(words: list[str]) -> Secrecy:
    last = words[-1]
    if len(words) == 1 and last in QUERIES:
        return Secrecy.QUERY
    return Secrecy.NONE


def _ofword_set(words: list[str]) -> Secrecy:
    if words[-1] in HARMLESS and not {"webhook", "hook"} & set(words[:-1]):
        return Secrecy.NONE
    if "tokens" in words and not COUNTERS.isdisjoint(words):
        return Secrecy.NONE
    if words[-1] in ("token", "tokens", "id", "ids") and not VOCABULARY.isdisjoint(words[:-1]) and _token(words):
        return Secrecy.NONE
    level = max(_of_word(word) for word in words)
    if level is Secrecy.ALL:
        return level
    if any(map(_of_pair, pairwise(words))):
        return Secrecy.ALL
    bare = list(words)
    while len(bare) > 1 and bare[-1] in ORNAMENTS:
        bare.pop()
    if bare[-1] in LAST_ALL:
        return Secrecy.ALL
    joined = "".join(words)
    if bare[-1] in LAST or joined in LAST or ("webhook" in words and words[-1] in ("url", "uri")):
        level = max(level, Secrecy.TEXT)
    if len(words) > 1 and joined in SECRETS:  # passWord, PassWd, api_key
        return Secrecy.ALL
    return level


def _token(words: list[str]) -> bool:
    """Whether the only secret word in it is "token"."""
    return "token" in words or "tokens" in words


def _of_pair(pair: tuple[str, str]) -> bool:
    before, last = pair
    if last in ("key", "keys"):
        return before in KEY_OF
    if last in ("code", "codes"):
        return before in CODE_OF
    if last in ("number", "no", "num", "nr"):
        return before in NUMBER_OF
    return pair in TOGETHER


def _of_word(word: str) -> Secrecy:
    """The same of one word, which may be several joined ones."""
    if word in SECRETS:
        return Secrecy.ALL
    if word in COUNTED:
        return Secrecy.TEXT
    if word in _RUN_TOGETHER_NOT or len(word) < 4:
        return Secrecy.NONE
    if _END.search(word):
        return Secrecy.ALL
    begun = _BEGIN.match(word)
    if begun is not None and begun[1] not in HARMLESS:
        return Secrecy.ALL
    for end, before in (("key", KEY_OF), ("keys", KEY_OF), ("code", CODE_OF), ("number", NUMBER_OF)):
        if word.endswith(end) and word[: -len(end)] in before:
            return Secrecy.ALL
    if word.endswith(("sessid", "sessionid")) or word in ("oauthverifier", "sessionkey"):
        return Secrecy.ALL
    return Secrecy.NONE
