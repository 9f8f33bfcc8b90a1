"""Key logs as they come: junk around lines, other line ends, byte order marks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.wire import keylog
from hark.wire.keylog import LABELS, Secret

RANDOM, SECRET = bytes(range(32)), bytes(range(48))
LINE = f"CLIENT_RANDOM {RANDOM.hex()} {SECRET.hex()}".encode()
TRUTH = [Secret("CLIENT_RANDOM", RANDOM, SECRET)]

LINES = {
    "as it should be": LINE + b"\n",
    "no end": LINE,
    "CR LF": LINE + b"\r\n",
    "CR alone": LINE + b"\r",
    "a backslash": LINE + b"\\\n",
    "a backslash and CR": LINE + b"\\\r\n",
    "blanks behind": LINE + b"  \t \n",
    "blanks in front": b" \t" + LINE + b"\n",
    "tabs between": LINE.replace(b" ", b"\t") + b"\n",
    "many blanks between": LINE.replace(b" ", b" \t  ") + b"\n",
    "a comma": LINE + b",\n",
    "quotes": LINE + b'"\n',
    "a comment": LINE + b" # of a test\n",
    "a fourth word": LINE + b" 1234\n",
    "upper case": b"CLIENT_RANDOM " + LINE[14:].upper(),
    "lower case": LINE.lower(),
    "no-break space": LINE + b"\xc2\xa0\n",
    "NUL": LINE + b"\0\n",
    "UTF-8 with a mark": b"\xef\xbb\xbf" + LINE,
    "UTF-16": (b"\xff\xfe") + LINE.decode().encode("utf-16-le"),
    "UTF-16, the other way": (b"\xfe\xff") + LINE.decode().encode("utf-16-be"),
    "binary around": b"\xff\x00\n" + LINE + b"\n\x80\x81",
    "comments around": b"# x\n\n;\n" + LINE + b"\n# CLIENT_RANDOM 00 00\n",
}


@pytest.mark.parametrize("name", LINES)
def test_what_stands_around_a_line(name: str) -> None:
    assert list(keylog.parse(LINES[name])) == TRUTH


NOT_LINES = {
    "a comment": b"#" + LINE,
    "odd": LINE[:-1],
    "a letter that is no digit": LINE + b"g",
    "too long": LINE + b"00" * 20,
    "a short random": LINE.replace(b"0001", b"", 1),
    "another label": LINE.replace(b"CLIENT", b"SERVER", 1),
    "RSA with a random": LINE.replace(b"CLIENT_RANDOM", b"RSA"),
    "no secret": LINE[: LINE.rindex(b" ") + 1],
    "two lines of one": LINE.replace(b" ", b"\n"),
}


@pytest.mark.parametrize("name", NOT_LINES)
def test_what_is_no_line(name: str) -> None:
    assert list(keylog.parse(NOT_LINES[name])) == []


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(LABELS - {"RSA"})), st.binary(min_size=1, max_size=64)), max_size=5),
    st.sampled_from(["", "QUIC_"]),
    st.text(alphabet=" \t", max_size=3),
    st.sampled_from(["", "\\", "\r", " ", "\t", ";", ",", "\\\r", " \\", "'", "\xa0", " # x", "\x00"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_junk_around_any_lines(
    lines: list[tuple[str, bytes]], prefix: str, front: str, junk: str, end: str, upper: bool, coding: str
) -> None:
    text = ""
    for label, secret in lines:
        digits = f"{RANDOM.hex()}  {secret.hex()}"
        text += f"{front}{prefix}{label} {digits.upper() if upper else digits}{junk}{end}"
    assert list(keylog.parse(text.encode(coding))) == [Secret(label, RANDOM, secret) for label, secret in lines]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_anything_is_survived(data: bytes) -> None:
    assert list(keylog.parse(data)) == []
    assert list(keylog.parse(data + b"\n" + LINE))[-1:] == TRUTH or data[:2] in (b"\xff\xfe", b"\xfe\xff")
