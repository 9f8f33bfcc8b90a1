"""Bytes as text, by their declared or apparent charset (WHATWG Encoding; WHATWG HTML §13.2.3; RFC 3629).

What   read() gives the text of a body and its charset. In this order: a byte order mark, the charset parameter, a
       declaration inside the document (HTML's meta, an XML declaration, CSS's @charset), UTF-8. For text with a wrong
       label, and for HTML without any, windows-1252, as in browsers.
Why    Bytes that are not text must stay bytes. A single-byte charset can decode anything, so what has control
       characters is not text in it.
Limits A declaration inside a document is looked for in the first SCANNED bytes.
"""

import codecs
import re
from functools import lru_cache
from typing import NamedTuple

_SCANNED = 1024  # bytes; as browsers do (WHATWG HTML §13.2.3.2)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))
_PLAIN = ("", "utf-8", "utf8", "us-ascii", "ascii")
# Patterns are compiled when a text is not plain UTF-8: that takes a millisecond, and few recordings need it.
_TEXTS = (
    r"text/|message/|[^/;]+/(?:[^/;]*[+.-])?(?:json|xml|xhtml|javascript|ecmascript|yaml|toml|sql|graphql"
    r"|ndjson|jsonlines|form-urlencoded|typescript)\b"
)
_BYTES = r"(?:image/(?!svg)|audio/|video/|font/|multipart/|application/(?:octet-stream|zip|gzip|pdf|wasm|grpc))"
_META = rb"(?i)<meta[^>]{0,300}?charset\s*=\s*[\"']?\s*([\w:.-]{2,40})"
_XML = rb"(?i)\s*<\?xml[^>]{0,300}?encoding\s*=\s*[\"']([\w:.-]{2,40})[\"']"
_CSS = rb'@charset "([\w:.-]{2,40})";'
_WIDE = ((rb"(?:[\t\n\r -~]\0){2}", "utf-16le"), (rb"(?:\0[\t\n\r -~]){2}", "utf-16be"))
_CONTROLS = "[\0-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]"  # but what editors, terminals and ISO 2022 write
# Charsets for which the standard has browsers give a single replacement character, and some that it does not know.
_OTHERS = {
    "hz-gb-2312": "hz", "iso-2022-kr": "iso2022_kr", "utf-32": "utf-32", "utf-32le": "utf-32-le",
    "utf-32be": "utf-32-be", "cp437": "cp437", "ibm437": "cp437", "cp850": "cp850", "ibm850": "cp850",
}  # fmt: skip


class Text(NamedTuple):
    """A text, and its charset by the standard's name; "" for UTF-8 unless the label was another one."""

    text: str
    charset: str


def parameter(mime: str, name: str) -> str:
    """The value of a media type's parameter, "" if it has none (RFC 9110 §5.6.6)."""
    for part in mime.split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip("\"'").strip()
    return ""


def text_of(data: bytes, mime: str, whole: bool = True) -> str | None:
    """The bytes as text, or None if they are not text: see read()."""
    result = read(data, mime, whole)
    return result.text if result is not None else None


def read(data: bytes, mime: str, whole: bool = True) -> Text | None:
    """The bytes as text, or None if they are not text. whole: they do not end inside a character."""
    label = parameter(mime, "charset").lower() if ";" in mime else ""
    if label in _PLAIN:
        try:
            text = data.decode()
            # A document may declare its charset, which matters if it is not ASCII.
            if "\0" not in text and (label or data.isascii() or b"charset" not in data[:_SCANNED]):
                return Text(text, "")
        except UnicodeDecodeError:
            pass
    return _other(data, mime.lower(), label, whole)


def _other(data: bytes, mime: str, label: str, whole: bool) -> Text | None:
    """Bytes that are not UTF-8, or perhaps not."""
    is_text = re.match(_TEXTS, mime) is not None
    tries: list[str] = []
    if is_text or not mime.strip():
        tries += [name for mark, name in _MARKS if data.startswith(mark)]
    if label and not re.match(_BYTES, mime):
        tries.append(label)
    if is_text and not label:
        tries.append(_declared(data, mime))
    tries.append("utf-8")
    if is_text and (label or "html" in mime):
        tries.append("windows-1252")
    for name in dict.fromkeys(tries):
        text = _decode(data, name, whole) if name else None
        if text is not None:
            if text.charset or label in _PLAIN or bytes_of(text.text, "", mime) == data:
                return text
            return Text(text.text, "utf-8")
    return None


def _declared(data: bytes, mime: str) -> str:
    """The label that a document declares, or the one that its first bytes show."""
    head = data[:_SCANNED]
    for pattern, name in _WIDE:
        if re.match(pattern, head):
            return name
    pattern = _CSS if mime.startswith("text/css") else _XML
    match = re.match(pattern, head) or (re.search(_META, head) if "html" in mime else None)
    if match is None:
        return ""
    label = match[1].decode("ascii", "replace").lower()
    if label.startswith("utf-16"):  # it could not be read if it were (WHATWG HTML §13.2.3.2, step 15)
        return "utf-8"
    return "windows-1252" if label == "x-user-defined" else label


def _decode(data: bytes, label: str, whole: bool) -> Text | None:
    """The text in one charset; None if it is not valid in it."""
    name, codec = codec_of(label)
    if codec is None or codec.incrementaldecoder is None:
        return None
    try:
        text = codec.incrementaldecoder(_C1).decode(data, whole)
    except UnicodeError:
        return None
    if "\0" in text or (name and re.search(_CONTROLS, text)):
        return None
    return Text(text, name if not data.isascii() or text.encode() != data else "")


@lru_cache(256)
def codec_of(label: str) -> tuple[str, codecs.CodecInfo | None]:
    """(the charset's name, "" for UTF-8; Python's codec) of a label; the codec is None if it is not known."""
    label = label.strip().lower()
    if label in ("utf-8", "utf8"):
        return "", codecs.lookup("utf-8")
    if label in _OTHERS:
        return label, codecs.lookup(_OTHERS[label])
    import webencodings

    encoding = webencodings.lookup(label)
    if encoding is None or encoding.name == "replacement":
        return "", None
    if encoding.name == "utf-8":
        return "", codecs.lookup("utf-8")
    # What is called gbk is read as gb18030 (WHATWG Encoding §10.1).
    return encoding.name, codecs.lookup("gb18030") if encoding.name == "gbk" else encoding.codec_info


def encode(text: str, charset: str) -> bytes | None:
    """A text in this charset, as read() names it; None if it cannot be encoded."""
    _, codec = codec_of(charset or "utf-8")
    if codec is None:
        return None
    try:
        return codec.encode(text, _C1)[0]
    except UnicodeError:
        return None


def bytes_of(text: str, charset: str, mime: str) -> bytes:
    """The bytes of a text in a HAR file: in the charset that read() named, else in that of its media type, else in
    UTF-8."""
    label = charset or parameter(mime, "charset")
    data = encode(text, label) if label and (charset or not re.match(_BYTES, mime.lower())) else None
    return text.encode("utf-8", "surrogatepass") if data is None else data


def _c1(error: UnicodeError) -> tuple[str | bytes, int]:
    """The standard's single-byte charsets have the control characters 0x80 to 0x9f where Python's have nothing."""
    if isinstance(error, UnicodeDecodeError):
        if error.encoding == "charmap" and 0x80 <= error.object[error.start] < 0xA0:
            return chr(error.object[error.start]), error.start + 1
    elif isinstance(error, UnicodeEncodeError):
        sign = error.object[error.start]
        if error.encoding == "charmap" and "\x80" <= sign < "\xa0":
            return sign.encode("latin-1"), error.start + 1
    raise error


_C1 = "hark-c1"
codecs.register_error(_C1, _c1)
