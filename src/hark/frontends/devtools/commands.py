"""What a frontend asks for, and what it is answered.

May hold: the answers by method. May not hold: sockets. An unknown method is answered with nothing, as a real target
does for what has no effect: an error would be printed in the frontend's console.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hark.frontends.devtools.events import readable
from hark.frontends.devtools.history import History

if TYPE_CHECKING:
    from hark.model.entry import Entry

Json = dict[str, Any]
ENABLE = "Network.enable"
SECURITY = "Security.enable"
STREAM = "Network.streamResourceContent"
_FIXED: dict[str, Json] = {
    "Network.emulateNetworkConditionsByRule": {"ruleIds": []},
    "Runtime.getIsolateId": {"id": "hark"},
    "Debugger.enable": {"debuggerId": "hark"},
    "Storage.getStorageKey": {"storageKey": "hark"},
    "Page.getNavigationHistory": {"currentIndex": 0, "entries": []},
    "Network.canEmulateNetworkConditions": {"result": False},
    "Schema.getDomains": {"domains": []},
    STREAM: {"bufferedData": ""},
}
_LINES_MOST = 1000


class Refused(Exception):
    """Cannot be answered; its text is shown to the person."""


def answer(method: str, params: Json, history: History) -> Json:
    """The result of a command. Raises Refused."""
    if method == "Network.getResponseBody":
        entry = _entry(params, history)
        content = entry["response"]["content"]
        return {"body": readable(entry, content, False), "base64Encoded": _is_base64(entry, content, "encoding")}
    if method == "Network.getRequestPostData":
        entry = _entry(params, history)
        post = entry["request"].get("postData", {})
        return {"postData": readable(entry, post, True), "base64Encoded": _is_base64(entry, post, "_encoding")}
    if method == "Network.searchInResponseBody":
        entry = _entry(params, history)
        return {"result": search(readable(entry, entry["response"]["content"], False), params)}
    return _FIXED.get(method, {})


def _is_base64(entry: Entry, part: Mapping[str, object], name: str) -> bool:
    return "_grpc" not in entry and part.get(name) == "base64"


def _entry(params: Json, history: History) -> Entry:
    identity = str(params.get("requestId"))
    entry = history.entry(identity)
    if entry is None:
        raise Refused("it is not over yet" if history.known(identity) else "No resource with given identifier found")
    return entry


def search(text: str, params: Json) -> list[Json]:
    """Lines in which the query is found. Raises Refused."""
    query = str(params.get("query", ""))
    flags = 0 if params.get("caseSensitive") else re.I
    try:
        find = re.compile(query if params.get("isRegex") else re.escape(query), flags).search
    except re.error as error:
        raise Refused(f"no regular expression: {error}") from None
    found = []
    for number, line in enumerate(text.split("\n")):
        if find(line):
            found.append({"lineNumber": number, "lineContent": line})
            if len(found) >= _LINES_MOST:
                break
    return found
