"""multipart/form-data bodies as HAR params (RFC 7578, RFC 2046 §5.1).

May hold: the split of one body. May not hold: other media types.
"""

import re
from typing import Any

Json = dict[str, Any]
_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.I)
_PARAMETER = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))')
_TEXT_MOST = 1 << 16  # bytes of a part that are told as its value; a file's are not


def form_data(body: bytes, mime: str) -> list[Json]:
    """name, value, fileName and contentType of each part; of a file the size instead of the value. What is not whole
    is told as far as it goes."""
    found = _BOUNDARY.search(mime)
    if found is None:
        return []
    mark = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    end = b"\r\n" if mark + b"\n" not in body else b"\n"  # what some programs write for a line's end
    return [_part(piece, end) for piece in (end + body).split(end + mark)[1:] if not piece.startswith(b"--")]


def _part(piece: bytes, end: bytes) -> Json:
    head, _, value = piece.partition(end + end)
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split(end.decode()):
        name, _, text = line.partition(":")
        headers[name.strip().lower()] = text.strip()
    parameters = {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(headers.get("content-disposition", ""))}
    told: Json = {"name": parameters.get("name", "")}
    if "filename" in parameters:
        told |= {"fileName": parameters["filename"], "_size": len(value)}
    else:
        told["value"] = value[:_TEXT_MOST].decode("utf-8", "backslashreplace")
    if "content-type" in headers:
        told["contentType"] = headers["content-type"]
    return told
