"""Values of the Python API: a recording with its exchanges and failures.

May hold: values, and how they are made of entries and changes. May not hold: processes, files.
"""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hark.model.changes import Change, Ended, Failed, RecordingTrouble
from hark.model.imported import EntryReader, body_bytes
from hark.views.view import named, safe
from hark.wire.fields import joined
from hark.wire.isotime import time_ns

if TYPE_CHECKING:
    from hark.model.entry import Entry, EntryContent, EntryPost, EntryRequest, EntryResponse


class Headers(Mapping[str, str]):
    """Header fields; names are case-insensitive. Several fields of one name are joined by ", " (RFC 9110 §5.3), Cookie
    by "; "; of Set-Cookie and other fields that are no lists there is one value. `get_all` has each."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)  # as on the wire

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        if len(values) == 1:
            return values[0]
        return joined(name.lower().encode(), [value.encode("utf-8", "surrogatepass") for value in values]).decode(
            "utf-8", "surrogatepass"
        )

    def get_all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for known, value in self.pairs if known.lower() == name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self.pairs))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self.pairs})

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


@dataclass(frozen=True, slots=True)
class Process:
    """The process that opened a connection, as far as it is known."""

    pid: int
    name: str = ""
    exe: str = ""
    cmdline: tuple[str, ...] = ()
    ppid: int = 0


@dataclass(frozen=True, slots=True)
class _Body:
    headers: Headers
    body: bytes  # content codings removed
    size: int  # bytes on the wire
    whole: bool  # whether `body` is complete
    mime: str

    @property
    def text(self) -> str:
        """The body as text, in the charset of its media type. Bytes that are no text become U+FFFD."""
        from hark.model.charset import text_of

        text = text_of(self.body, self.mime, self.whole)
        return (self.body.decode("utf-8", "replace") if text is None else text).removeprefix("\ufeff")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is none."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Request(_Body):
    """A request."""

    method: str
    url: str

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that were sent, by name. Of several with one name the first, which is the most specific
        (RFC 6265 §5.4)."""
        pairs = [pair.strip().partition("=") for pair in self.headers.get("cookie", "").split(";")]
        return {name: value for name, _, value in reversed(pairs) if name}


@dataclass(frozen=True, slots=True)
class Response(_Body):
    """A response."""

    status: int
    reason: str

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that were set, by name."""
        pairs = [line.partition(";")[0].strip().partition("=") for line in self.headers.get_all("set-cookie")]
        return {name: value for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its response. entry: the same as a HAR 1.2 entry (docs/json.md)."""

    request: Request
    response: Response | None  # None if there was none
    protocol: str  # "http/1.1", "h2", "h3"
    process: Process | None
    started: datetime.datetime  # in UTC
    seconds: float  # how long it took, with name look-up and connecting
    error: str  # why it is incomplete; "" if it is complete
    entry: "Entry" = field(repr=False, compare=False)

    @property
    def method(self) -> str:
        """The request's method."""
        return self.request.method

    @property
    def url(self) -> str:
        """The absolute URL."""
        return self.request.url

    @property
    def status(self) -> int:
        """The response's status; 0 without a response."""
        return self.response.status if self.response is not None else 0

    def curl(self) -> str:
        """A curl command that repeats the request."""
        from hark.views.curl import command

        return command(EntryReader().exchange(self.entry.copy()))

    def __str__(self) -> str:
        size = self.response.size if self.response is not None else 0
        who = f" {named(self.process.name, self.process.pid)}" if self.process is not None else ""
        result = self.status or self.error or "no answer"
        return safe(f"{self.method} {self.url} {result} {size} B {self.seconds * 1000:.0f} ms {self.protocol}{who}")


@dataclass(frozen=True, slots=True)
class Failure:
    """A connection that failed or was not decrypted, or a name that was not resolved. str() is one line without its
    time.

    kind is "refused", "name-not-found", "encrypted" … (docs/json.md), or "recording": the file is damaged, and only
    `why` is known. entry: the same as a HAR 1.2 entry."""

    kind: str
    host: str  # by name if known, else by address
    port: int  # 0 for a name that was not resolved
    why: str  # what happened
    process: Process | None = None
    started: datetime.datetime | None = None  # when the program began to wait, in UTC
    seconds: float = 0.0  # how long it waited
    phase: str = ""  # how far it got: "name", "connect", "tls", "idle"
    by: str = ""  # which side ended it: "client", "server"; "" if not known
    how: str = ""  # by what: "fin", "rst", "alert", "refused" …
    seen: str = ""  # the last thing seen, such as a certificate
    remedy: str = ""  # what would help
    size: int = 0  # bytes that were not decrypted
    text: str = field(default="", repr=False)  # str(self)
    entry: "Entry | dict[str, Any]" = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        return safe(self.text or self.why)


class Recording:
    """The result of a run, or the content of a file.

    exchanges: in the order in which they ended. status: the command's exit status, None for a file. stdout, stderr:
    what it wrote, if they were captured. failures: connections that failed or were not decrypted, names that were not
    resolved, damage to the file."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.failures: list[Failure] = []
        self.status: int | None = None
        self.stdout: Any = None
        self.stderr: Any = None

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self.exchanges)

    def __len__(self) -> int:
        return len(self.exchanges)

    def __repr__(self) -> str:
        lines = [*map(str, self.exchanges), *map(_described, self.failures)] or ["no exchanges"]
        return (
            f"<hark recording{'' if self.status is None else f', status {self.status}'}:\n  " + "\n  ".join(lines) + ">"
        )

    def take(self, change: Change) -> Exchange | None:
        """Add the exchange or failure of a change; the exchange, if it is one."""
        if isinstance(change, Ended):
            from hark.views.entry import entry

            ended = exchange(entry(change.exchange))
            self.exchanges.append(ended)
            return ended
        if isinstance(change, Failed):
            from hark.views import failures

            self.failures.append(failure(failures.entry(change.failure), failures.line(change.failure)))
        elif isinstance(change, RecordingTrouble):
            self.failures.append(Failure("recording", "", 0, change.trouble.text))
        return None


def _described(failed: Failure) -> str:
    """A failure in a line of a report: what, how long it took, the process, and below it what would help."""
    who = f" {named(failed.process.name, failed.process.pid)}" if failed.process is not None else ""
    took = f" {failed.seconds * 1000:.0f} ms" if failed.started is not None else ""
    below = "; ".join(part for part in (failed.seen, failed.remedy) if part)
    return f"{failed}{took}{safe(who)}" + (f"\n    {safe(below)}" if below else "")


def failure(entry: "Entry", text: str = "") -> Failure:
    """The value of a complete HAR entry that has a `_failure`. text: the failure in one line."""
    facts = entry["_failure"]
    return Failure(
        kind=facts["kind"],
        host=str(facts.get("host", "")),
        port=int(facts.get("port", 0)),
        why=str(facts.get("why", "")),
        process=_process(entry),
        started=_began(entry),
        seconds=entry["time"] / 1000,
        phase=facts["phase"],
        by=facts.get("by") or "",
        how=facts.get("how") or "",
        seen=str(facts.get("seen", "")),
        remedy=str(facts.get("remedy", "")),
        size=int(facts.get("bytes", 0)),
        text=text,
        entry=entry,
    )


def _process(entry: "Entry") -> Process | None:
    known = entry.get("_process")
    if not known:
        return None
    words = tuple(known.get("cmdline", ()))
    return Process(known["pid"], known.get("name", ""), known.get("exe", ""), words, known.get("ppid", 0))


def _began(entry: "Entry") -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_ns(entry["startedDateTime"]) / 1e9, datetime.UTC)


def exchange(entry: "Entry") -> Exchange:
    """The value of a complete HAR entry."""
    request, response, post = entry["request"], entry["response"], entry["request"].get("postData")
    sent = _content(request, post, "_encoding", post["mimeType"] if post is not None else "")
    received = None
    if response["status"] > 0:
        content = response["content"]
        received = Response(
            *_content(response, content, "encoding", content["mimeType"]),
            status=response["status"],
            reason=response["statusText"],
        )
    return Exchange(
        Request(*sent, method=request["method"], url=request["url"]),
        received,
        entry["_protocol"],
        _process(entry),
        _began(entry),
        entry["time"] / 1000,
        entry.get("_trouble", ""),
        entry,
    )


class _Content(NamedTuple):
    """The fields of _Body."""

    headers: Headers
    body: bytes
    size: int
    whole: bool
    mime: str


def _content(
    head: "EntryRequest | EntryResponse", content: "EntryPost | EntryContent | None", encoding: str, mime: str
) -> _Content:
    data = body_bytes(content, encoding) if content is not None else b""
    headers = Headers([(pair["name"], pair["value"]) for pair in head["headers"]])
    comment = content.get("comment", "") if content is not None else ""
    return _Content(headers, data, max(head["bodySize"], 0), not comment.startswith("only the first"), mime)
