"""multipart/form-data bodies as HAR params (RFC 7578, RFC 2046 §5.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hark.model.entry import EntryParam

_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.I)
_PARAMETER = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))')
_TEXT_MOST = 1 << 16  # bytes of a field's value that are kept; the content of files is not


def form_data(body: bytes, mime: str) -> list[EntryParam]:
    """name, value, fileName and contentType of each part; a file has its size instead of a value. An incomplete body
    gives the parts that it has."""
    boundary = _BOUNDARY.search(mime)
    if boundary is None:
        return []
    mark = b"--" + (boundary[1] or boundary[2]).encode("latin-1", "replace")
    end = b"\r\n" if mark + b"\n" not in body else b"\n"  # some programs end lines so
    return [_part(piece, end) for piece in (end + body).split(end + mark)[1:] if not piece.startswith(b"--")]


def _part(piece: bytes, end: bytes) -> EntryParam:
    head, _, value = piece.partition(end + end)
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split(end.decode()):
        name, _, text = line.partition(":")
        headers[name.strip().lower()] = text.strip()
    parameters = {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(headers.get("content-disposition", ""))}
    param: EntryParam = {"name": parameters.get("name", "")}
    if "filename" in parameters:
        param["fileName"], param["_size"] = parameters["filename"], len(value)
    else:
        param["value"] = value[:_TEXT_MOST].decode("utf-8", "backslashreplace")
    if "content-type" in headers:
        param["contentType"] = headers["content-type"]
    return param
