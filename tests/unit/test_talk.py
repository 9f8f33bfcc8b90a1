"""Server-sent events and gRPC as messages: by the specifications' own examples, in any pieces."""

import base64
import gzip
import pathlib
import subprocess
import sys
import zlib

import pytest
from google.protobuf import struct_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.decode.events import Side
from hark.model.streams import EventStream, Grpc, MessageReader
from hark.wire import protobuf

C, S = Side.CLIENT, Side.SERVER


def heard(talk: MessageReader, data: bytes, size: int) -> list[tuple[str, str, str]]:
    found = []
    for at in range(0, len(data), size):
        found += talk.feed(data[at : at + size], 1)
    return [(m.name or m.kind, m.id, m.data.decode("latin-1")) for m in found]


STREAMS = {  # WHATWG HTML §9.2.6, and what real servers do
    b"data: YHOO\ndata: +2\ndata: 10\n\n": [("message", "", "YHOO\n+2\n10")],
    b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n": [
        ("message", "1", "first event"), ("message", "", "second event"), ("message", "", " third event"),
    ],
    b"data\n\ndata\ndata\n\ndata:": [("message", "", ""), ("message", "", "\n")],
    b"\xef\xbb\xbfevent: add\rdata: 7\r\rretry: 10\r\nevent: add\r\n\r\ndata: x\r\n\r\n": [("add", "", "7"), ("message", "", "x")],
}  # fmt: skip


@pytest.mark.parametrize("data", STREAMS, ids=range(len(STREAMS)))
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_event_streams(data: bytes, size: int) -> None:
    assert heard(EventStream(1, 1, ""), data, size) == STREAMS[data]


@pytest.mark.parametrize("pack, coding", [(gzip.compress, "gzip"), (zlib.compress, "deflate")])
def test_compressed_event_streams(pack, coding: str) -> None:
    assert heard(EventStream(1, 1, coding), pack(b"data: a\n\n" * 3), 5) == [("message", "", "a")] * 3


def test_an_event_without_an_end_is_given_up() -> None:
    talk = EventStream(1, 1, "")
    with pytest.raises(ValueError, match="without an end"):
        for _ in range(100):
            talk.feed(b"data: " + b"x" * 100_000 + b"\n", 1)


def framed(*messages: bytes, flags: int = 0) -> bytes:
    return b"".join(bytes([flags]) + len(m).to_bytes(4, "big") + m for m in messages)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_grpc_messages(size: int) -> None:
    data = framed(b"one", b"") + framed(gzip.compress(b"two"), flags=1) + framed(b"grpc-status: 5\r\n", flags=0x80)
    expected = [("grpc", "", "one"), ("grpc", "", ""), ("grpc", "", "two"), ("trailers", "", "grpc-status: 5\r\n")]
    assert heard(Grpc(1, 1, S, "application/grpc", "gzip", 99), data, size) == expected
    text = base64.b64encode(data[:8]) + base64.b64encode(data[8:])
    assert heard(Grpc(1, 1, S, "application/grpc-web-text", "gzip", 99), text, size) == expected


def test_what_is_not_grpc_is_given_up() -> None:
    with pytest.raises(ValueError):
        Grpc(1, 1, S, "application/grpc", "", 99).feed(b"<html>no such thing", 1)
    assert heard(Grpc(1, 1, S, "application/grpc", "snappy", 99), framed(b"??", flags=1), 9) == [("sealed", "", "??")]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_refused_or_read(data: bytes) -> None:
    protobuf.message(data)
    for talk in (
        EventStream(1, 1, ""),
        EventStream(1, 1, "gzip"),
        Grpc(1, 1, S, "application/grpc-web-text", "gzip", 9),
    ):
        try:
            talk.feed(data, 1)
        except ValueError:
            continue


def test_protobuf_without_a_schema() -> None:
    """What the protobuf library writes: a tree of messages, strings, doubles."""
    value = struct_pb2.Struct()
    value.update({"name": "hark"})
    assert protobuf.message(value.SerializeToString()) == {"1": {"1": "name", "2": {"3": "hark"}}}
    assert protobuf.message(bytes.fromhex("089601")) == {"1": 150}
    assert protobuf.message(bytes.fromhex("0a0568617267ff")) == {"1": {"base64": "aGFyZ/8="}}
    assert protobuf.message(b"\x08\x01\x08\x02\x08\x03") == {"1": [1, 2, 3]}
    assert protobuf.message(b"\x0b\x0c") is None and protobuf.message(b"\x0a\x7fx") is None


def test_deep_messages_end() -> None:
    data = b""
    for _ in range(2000):
        data = b"\x0a" + _varint(len(data) + 1) + data + b"\xff"
    protobuf.message(data)


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def test_a_schema_names_the_fields(tmp_path) -> None:
    from hark.views.schema import Schema

    source = tmp_path / "greet.proto"
    source.write_text(
        'syntax = "proto3"; package greet; message Ask { string name = 1; repeated int32 many = 2; } '
        "message Told { string text = 1; } service Greeter { rpc Hello (Ask) returns (Told); }"
    )
    compiled = tmp_path / "greet.binpb"
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{tmp_path}", f"--descriptor_set_out={compiled}", str(source)],
        check=True,
    )
    for path in (source, compiled):
        schema = Schema([str(path)])
        assert schema.message("/greet.Greeter/Hello", False, b"\x0a\x02yo\x12\x02\x01\x02") == {
            "name": "yo",
            "many": [1, 2],
        }
        assert schema.message("/greet.Greeter/Hello", True, b"\x0a\x02yo") == {"text": "yo"}
        assert schema.message("/greet.Greeter/Bye", True, b"") is None
        assert schema.message("/greet.Greeter/Hello", True, b"\xff") is None


@pytest.mark.parametrize(
    "name, text, why",
    [
        ("no.proto", None, "No such file"),
        ("x.proto", "nonsense", "x.proto"),
        ("x.bin", "\0\1\2", "not a descriptor set"),
    ],
)
def test_a_bad_schema_gets_one_line(tmp_path, name: str, text: str | None, why: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    recording = pathlib.Path(__file__).parent.parent.parent / "recordings" / "curl-gzip.pcapng"
    run = subprocess.run(
        [sys.executable, "-m", "hark", "read", "--json", "--proto", str(path), str(recording)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and why in run.stderr and len(run.stderr.splitlines()) == 1, run.stderr
    assert run.stdout == ""
