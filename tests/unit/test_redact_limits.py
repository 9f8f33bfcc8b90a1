"""What redaction cannot know, as the README says: expected failures, so that a cure is noticed."""

import json
import pathlib
from base64 import b64decode, b64encode
from typing import Any

import pytest

from hark.views.redaction.entry import Redaction

LIMIT = "`--redact` cannot find"
README = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
SECRET = "Geheim-23-ist-es"
KNOWN = {"request": {"headers": [{"name": "X-Api-Key", "value": SECRET}]}, "response": {}}


def body(text: str, mime: str, **more: str) -> dict[str, Any]:
    return {"request": {}, "response": {"content": {"mimeType": mime, "text": text, **more}}}


def binary(data: bytes, mime: str) -> dict[str, Any]:
    return body(b64encode(data).decode(), mime, encoding="base64")


def shown(*entries: dict[str, Any]) -> str:
    """What a reader of the output has: each entry redacted as it comes, binary bodies decoded."""
    redaction = Redaction(b"a salt")
    texts = []
    for entry in entries:
        made = redaction.entry(entry)
        texts.append(json.dumps(made))
        content = made["response"].get("content", {})
        if content.get("encoding") == "base64":
            texts.append(b64decode(content["text"]).decode("latin-1"))
    return "\n".join(texts)


# A string field of protobuf without its schema, a map of MessagePack and one of CBOR (RFC 8949): the name is there, but
# nothing says where its value ends.
PROTOBUF = b"\x0a\x03bob\x12\x10" + SECRET.encode()
MESSAGEPACK = b"\x81\xa8password\xb0" + SECRET.encode()
CBOR = b"\xa1\x68password\x70" + SECRET.encode()
PHP = f'a:1:{{s:8:"password";s:{len(SECRET)}:"{SECRET}";}}'


@pytest.mark.xfail(reason=f"Limits: {LIMIT}", strict=True)
@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([{"request": {"url": f"https://h/reset/{SECRET}"}, "response": {}}, KNOWN], id="named later"),
        pytest.param([{"request": {"url": f"https://h/reset/{SECRET}"}, "response": {}}], id="path that says nothing"),
        pytest.param([body(PHP, "application/vnd.php.serialized")], id="PHP serialize"),
        pytest.param([binary(PROTOBUF, "application/x-protobuf")], id="protobuf without a schema"),
        pytest.param([binary(MESSAGEPACK, "application/msgpack")], id="MessagePack"),
        pytest.param([binary(CBOR, "application/cbor")], id="CBOR"),
        pytest.param([body(f"the wizard says {SECRET}", "text/plain")], id="words that say nothing"),
    ],
)
def test_what_cannot_be_known(entries: list[dict[str, Any]]) -> None:
    assert SECRET not in shown(*entries)


@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/msgpack", "application/octet-stream"])
@pytest.mark.parametrize("data", [PROTOBUF, MESSAGEPACK, CBOR, PHP.encode(), SECRET.encode()])
def test_what_is_known_by_name_is_hidden_there_too(data: bytes, kind: str) -> None:
    """Where the secret was met under its name before, or stands under it in the same exchange."""
    assert SECRET not in shown(KNOWN, binary(data, kind))
    assert SECRET not in shown({**binary(data, kind), "request": KNOWN["request"]})


def test_the_limit_stands_in_the_readme() -> None:
    assert f"- {LIMIT}" in README[README.index("## Limits") : README.index("## Working on it")]
