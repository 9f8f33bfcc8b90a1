"""Tokens that are recognized by their form, in any place.

What   Each shape has a literal that all its tokens contain: a text without it is not searched.
Why    Linear time: a match must not begin inside text that another attempt has covered. So each shape begins at a
       border (BORDER) that its own characters cannot be, and quantifiers that may fail after a long run are bounded or
       possessive.
Origin The prefixes that the services document (and register for secret scanning); RFC 7515 §3.1 (JWS), RFC 7468 (PEM),
       RFC 6750 §2.1 and RFC 7617 §2 (credentials after their scheme), RFC 3986 §3.2.1 (user information).
Limits A token that is cut so short that it has lost its form is not recognized.
"""

import re
from collections.abc import Callable

MARK = "redacted-"  # the beginning of a mark (marks.py)
_IS_MARK = re.compile(r"redacted-[0-9a-f]{8}")
# Not inside a word, or after an escape of JSON or of a URL.
BORDER = (
    r"(?:(?<![\w-])|(?<=%[0-9A-Fa-f][0-9A-Fa-f])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]))"
)
_SHAPES = (
    ("eyJ", r"eyJ[\w-]{8,}+\.[\w-]{2,}+(?:\.[\w-]*+){0,3}"),  # JSON web token: JWS, JWE
    ("gh", r"gh[pousr]_\w{16,}+"),  # GitHub
    ("github_pat_", r"github_pat_\w{16,}+"),
    ("gl", r"gl(?:pat|dt|rt|ptt|ft|soat|cbt|agent|imt|oas|ffct|rtr)-[\w-]{16,}+(?:\.[\w-]++){0,2}"),  # GitLab
    ("xox", r"xox[a-z](?:\.xox[a-z])?-[\w-]{10,}+"),  # Slack
    ("xapp-", r"xapp-[\w-]{10,}+"),
    ("IA", r"(?:AKIA|ASIA)[0-9A-Z]{12,}+"),  # AWS
    ("k_", r"[rsp]k_(?:live|test|prod)_\w{10,}+"),  # Stripe
    ("whsec_", r"whsec_[\w+/=]{16,}+"),
    ("AIza", r"AIza[\w-]{24,}+"),  # Google
    ("ya29.", r"ya29\.[\w.-]{16,}+"),
    ("GOCSPX-", r"GOCSPX-[\w-]{16,}+"),
    ("1//0", r"1//0[\w-]{30,}+"),
    ("sk-", r"sk-(?=[\w-]{0,60}[A-Z0-9])[\w-]{16,}+"),  # OpenAI, Anthropic and others
    ("npm_", r"npm_[A-Za-z0-9]{24,}+"),
    ("pypi-", r"pypi-[\w-]{16,}+"),
    ("SG.", r"SG\.[\w-]{16,}+\.[\w-]{16,}+"),  # SendGrid
    ("hf_", r"hf_[A-Za-z0-9]{24,}+"),  # Hugging Face
    ("dop_v1_", r"do[por]_v1_[0-9a-f]{32,}+"),  # DigitalOcean
    ("shp", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{24,}+"),  # Shopify
    ("dckr_pat_", r"dckr_pat_[\w-]{16,}+"),  # Docker
    ("hvs.", r"hv[sbr]\.[\w-]{16,}+"),  # Vault
    ("lin_api_", r"lin_api_\w{24,}+"),
    ("sntr", r"sntry[su]_[\w+/=-]{24,}+"),
    ("PMAK-", r"PMAK-[0-9a-f-]{24,}+"),
    ("rubygems_", r"rubygems_[0-9a-f]{32,}+"),
    ("AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[0-9A-Z]{16,}+"),
    ("key-", r"key-[0-9a-f]{32}(?![\w-])"),  # Mailgun
    (":AA", r"(?:bot)?\d{8,12}:AA[\w-]{30,}+"),  # Telegram
)
_PATHS = (  # URLs that are secrets: the part after a known beginning
    ("hooks.slack.com/", r"(hooks\.slack\.com/(?:services|workflows|triggers)/)([\w/-]++)"),
    ("/api/webhooks/", r"(/api/webhooks/)([\w/-]++)"),
    (".webhook.office.com/", r"(\.webhook\.office\.com/webhookb2/)([\w/@-]++)"),
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)", re.S
)
_SCHEMES = re.compile(
    r"\b(bearer|basic|digest|negotiate|ntlm|apikey|token|dpop|hawk|gss-negotiate)((?:[ \t]|%20|\+){1,8})"
    r"([\w.~+/=:%-]{8,}+)",
    re.I,
)  # fmt: skip
_USERINFO = re.compile(r"(?:(?<=://)|(?<=:\\/\\/))([^/?#\s\"'<>\\@]*+(?:@[^/?#\s\"'<>\\@]*+)*)(?=@)")
_NETRC = re.compile(r"(\blogin[ \t]+\S+\s+password[ \t]+)(\S+)", re.I)
_PROSE = re.compile(r"(\bpassword[ \t]+(?:is|was|for[ \t]+\w+[ \t]+is)[ \t]*:?[ \t]+[\"']?)([^\s\"'<>]{4,})", re.I)
_SQL = re.compile(r"(\b(?:identified[ \t]+by|password)[ \t]+)'([^'\r\n]++)'", re.I)
_PUBLIC_USERS = frozenset(
    {"git", "user", "root", "postgres", "admin", "anonymous", "ftp", "hg", "svn", "guest", "hadoop"}
)
_COMPILED = tuple((literal, re.compile(BORDER + shape)) for literal, shape in _SHAPES)
_COMPILED_PATHS = tuple((literal, re.compile(shape)) for literal, shape in _PATHS)

Mark = Callable[[str], str]


def is_mark(text: str) -> bool:
    """Whether a text is a mark."""
    return text.startswith(MARK) and _IS_MARK.fullmatch(text) is not None


def random_looking(text: str) -> bool:
    """Whether a word looks machine-made: letters mixed with digits or punctuation, or of both cases inside."""
    if len(text) >= 24 and " " not in text:
        return True
    digits = any(sign.isdigit() for sign in text)
    letters = any(sign.isalpha() for sign in text)
    inside = text[1:]
    mixed = inside != inside.lower() and inside != inside.upper()
    return (digits and letters) or mixed or text.endswith("=") or (digits and len(text) >= KEY_DIGITS)


KEY_DIGITS = 6  # digits that make a code: fewer are a number


def hide(text: str, mark: Mark) -> str:
    """The text with the tokens of all shapes replaced. mark: gives the mark of a secret, and remembers it."""
    for literal, shape in _COMPILED:
        if literal in text:
            text = shape.sub(lambda match: mark(match[0]), text)
    for literal, shape in _COMPILED_PATHS:
        if literal in text:
            text = shape.sub(lambda match: match[1] + mark(match[2]), text)
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(lambda match: mark(match[0]), text)
    if "@" in text and ("://" in text or ":\\/\\/" in text):
        text = _USERINFO.sub(lambda match: userinfo(match[1], mark), text)
    text = _SCHEMES.sub(lambda match: _scheme(match, mark), text)
    small = text.lower()
    if "password" in small or "identified" in small:
        text = _NETRC.sub(lambda match: match[1] + mark(match[2]), text)
        text = _PROSE.sub(lambda match: match[1] + _in_prose(match[2], mark), text)
        text = _SQL.sub(lambda match: f"{match[1]}'{mark(match[2])}'", text)
    return text


def _in_prose(word: str, mark: Mark) -> str:
    value = word.rstrip(".,;!?)\"'")
    return mark(value) + word[len(value) :] if random_looking(value) else word


def _scheme(match: re.Match[str], mark: Mark) -> str:
    if not random_looking(match[3]) or match[3].startswith(("realm=", "error=")):
        return match[0]
    return match[1] + match[2] + mark(match[3])


def userinfo(text: str, mark: Mark) -> str:
    """The part of a URL before its "@" without secrets; common user names stay."""
    if not text or text in _PUBLIC_USERS:
        return text
    password = text.partition(":")[2]
    if password:
        mark(password)  # remembers it: it may occur alone elsewhere
    return mark(text)
