"""The Python API: run a command, listen to one, read a recording, and get exchanges as values.

    recording = hark.run(["curl", "-s", "https://example.com/"])
    recording.exchanges[0].response.json()

    with hark.listen(["npm", "install"]) as live:
        for exchange in live:
            print(exchange)

    hark.read("trace.pcapng").exchanges

What   The command runs under a hark process of its own, which feeds this one (views/feed.py); a thread takes what
       comes, so that a caller who is slow does not slow the program.
Why    hark forks and waits for children by itself, which a program with threads could not bear inside of it.
Limits Bodies are kept up to max_body bytes; an exchange says whether its body is whole.
"""

import contextlib
import datetime
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Self, TypeVar, cast

from hark.errors import HarkError
from hark.model.archive import Shelf, body_bytes
from hark.model.changes import Change, Ended, Failed, RecordingTrouble
from hark.views.view import Needs, View, safe
from hark.wire.fields import joined
from hark.wire.isotime import time_ns

__all__ = [
    "Exchange",
    "Failure",
    "HarkError",
    "Headers",
    "Live",
    "Process",
    "Recording",
    "Request",
    "Response",
    "listen",
    "read",
    "run",
]

MAX_BODY = 1 << 20  # bytes of each body that are kept
_PATIENCE = (1.0, 4.0)  # s that a command has after each SIGTERM
Word = str | bytes | os.PathLike[str]
Command = Word | Sequence[Word]  # as subprocess.Popen takes it


class Headers(Mapping[str, str]):
    """Header fields. Names compare without regard to case; a field that came several times is joined by ", "
    (RFC 9110 §5.3): Cookie by "; ", while of Set-Cookie and of others that are no lists one value is given; `get_all`
    gives each."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)  # as on the wire

    def __getitem__(self, name: str) -> str:
        found = self.get_all(name)
        if not found:
            raise KeyError(name)
        if len(found) == 1:
            return found[0]
        return joined(name.lower().encode(), [value.encode("utf-8", "surrogatepass") for value in found]).decode(
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
    """The process that made a connection, as far as it is known."""

    pid: int
    name: str = ""
    exe: str = ""
    cmdline: tuple[str, ...] = ()
    ppid: int = 0


@dataclass(frozen=True, slots=True)
class _Body:
    headers: Headers
    body: bytes  # content codings undone
    size: int  # bytes on the wire
    whole: bool  # whether `body` is all of it
    mime: str

    @property
    def text(self) -> str:
        """The body as text, in the charset that its type gives; what is no text is replaced."""
        from hark.model.charset import text_of

        found = text_of(self.body, self.mime, self.whole)
        text = self.body.decode("utf-8", "replace") if found is None else found
        return text.removeprefix("\ufeff")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Request(_Body):
    """What was asked."""

    method: str
    url: str

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that were sent, by name; of several of one name the first, which is the most specific one
        (RFC 6265 §5.4)."""
        pairs = [pair.strip().partition("=") for pair in self.headers.get("cookie", "").split(";")]
        return {name: value for name, _, value in reversed(pairs) if name}


@dataclass(frozen=True, slots=True)
class Response(_Body):
    """What was answered."""

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
    response: Response | None  # None where none came
    protocol: str  # "http/1.1", "h2", "h3"
    process: Process | None
    started: datetime.datetime  # in UTC
    seconds: float  # from its begin, name look-up and connecting included, to its end
    error: str  # why it is not whole; "" where it is
    entry: dict[str, Any] = field(repr=False, compare=False)

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
        """The response's status; 0 where there is none."""
        return self.response.status if self.response is not None else 0

    def curl(self) -> str:
        """A curl command that makes the request again."""
        from hark.views.curl import command

        return command(Shelf().exchange(dict(self.entry)))

    def __str__(self) -> str:
        size = self.response.size if self.response is not None else 0
        who = f" {self.process.name}[{self.process.pid}]" if self.process is not None else ""
        came = self.status or self.error or "no answer"
        return safe(f"{self.method} {self.url} {came} {size} B {self.seconds * 1000:.0f} ms {self.protocol}{who}")


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that did not become an exchange, or could not be decrypted. str() is one line without its time.

    kind is "refused", "name-not-found", "encrypted" … (docs/json.md), or "recording": damage to what was read, of which
    only `why` is known. entry: the same as a HAR 1.2 entry."""

    kind: str
    host: str  # the name that was meant, else the address
    port: int  # 0 for a name that was not resolved
    why: str  # what happened
    process: Process | None = None
    started: datetime.datetime | None = None  # when the program began to wait, in UTC
    seconds: float = 0.0  # how long it waited
    phase: str = ""  # how far it had come: "name", "connect", "tls", "idle"
    by: str = ""  # who ended it: "client", "server"; "" where that is not known
    how: str = ""  # by what: "fin", "rst", "alert", "refused" …
    seen: str = ""  # the last thing that was seen of it, such as a certificate
    remedy: str = ""  # what would help
    size: int = 0  # bytes that stayed encrypted
    text: str = field(default="", repr=False)  # what str() gives
    entry: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        return safe(self.text or self.why)


class Recording:
    """What a run, or a file, holds.

    exchanges: in the order in which they ended. status: the command's exit status, None for a file. stdout, stderr:
    what it wrote, where that was asked for. failures: whatever did not become an exchange: connections that were
    refused, names that were not found, TLS that was not decrypted, damage to the file."""

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
        """Add what a change tells; the exchange that ended by it, if one did."""
        if isinstance(change, Ended):
            from hark.views.entry import entry

            made = exchange(entry(change.exchange))
            self.exchanges.append(made)
            return made
        if isinstance(change, Failed):
            from hark.views import failures

            self.failures.append(failure(failures.entry(change.failure), failures.line(change.failure)))
        elif isinstance(change, RecordingTrouble):
            self.failures.append(Failure("recording", "", 0, change.trouble.text))
        return None


def _described(failed: Failure) -> str:
    """A failure in a line of a report: what, how long it took, who, and below it what would help."""
    who = f" {failed.process.name}[{failed.process.pid}]" if failed.process is not None else ""
    took = f" {failed.seconds * 1000:.0f} ms" if failed.started is not None else ""
    below = "; ".join(part for part in (failed.seen, failed.remedy) if part)
    return f"{failed}{took}{safe(who)}" + (f"\n    {safe(below)}" if below else "")


def failure(entry: dict[str, Any], text: str = "") -> Failure:
    """The value of a complete HAR entry that has a `_failure`; text: it in a line."""
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


def _process(entry: dict[str, Any]) -> Process | None:
    known = entry.get("_process")
    return Process(**{**known, "cmdline": tuple(known.get("cmdline", ()))}) if known else None


def _began(entry: dict[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_ns(entry["startedDateTime"]) / 1e9, datetime.UTC)


def exchange(entry: dict[str, Any]) -> Exchange:
    """The value of a complete HAR entry."""
    asked, answer = entry["request"], entry["response"]
    post, content = asked.get("postData", {}), answer["content"]
    body = _body(asked, post, "_encoding", post.get("mimeType", ""))
    sent = Request(method=asked["method"], url=asked["url"], **body)
    came = None
    if answer["status"] > 0:
        body = _body(answer, content, "encoding", content["mimeType"])
        came = Response(status=answer["status"], reason=answer["statusText"], **body)
    process, began = _process(entry), _began(entry)
    trouble = entry.get("_trouble", "")
    return Exchange(sent, came, entry["_protocol"], process, began, entry["time"] / 1000, trouble, entry)


def _body(part: dict[str, Any], content: dict[str, Any], encoding: str, mime: str) -> dict[str, Any]:
    data = body_bytes(content, encoding)
    headers = Headers([(pair["name"], pair["value"]) for pair in part["headers"]])
    whole = not content.get("comment", "").startswith("only the first")
    return {"headers": headers, "body": data, "size": max(part["bodySize"], 0), "whole": whole, "mime": mime}


# -- running -----------------------------------------------------------------------------------------------------------


class Live:
    """A command that runs under hark: iterate over its exchanges as they end. Also a context manager that ends the
    command where it still runs."""

    def __init__(self, command: Command, max_body: int, options: Mapping[str, Any], redact: bool = False) -> None:
        popen = dict(options)
        words = _words(command, popen)
        self._command = command
        feed, theirs = os.pipe()
        argv = [
            sys.executable,
            "-P",
            "-m",
            "hark",
            "--feed",
            str(theirs),
            "--max-body",
            str(max_body),
            *(["--redact"] if redact else []),
            "run",
            "--",
            *words,
        ]
        try:
            kept = [theirs, *popen.pop("pass_fds", ())]
            self._running = subprocess.Popen(argv, pass_fds=kept, **popen)
        except BaseException:
            os.close(feed)
            raise
        finally:
            os.close(theirs)
        self.recording = Recording()  # everything so far that was iterated over
        self._changes: queue.SimpleQueue[Change | HarkError | None] = queue.SimpleQueue()
        threading.Thread(target=_take, args=(feed, self._changes), daemon=True).start()
        self._over = False

    @property
    def pid(self) -> int:
        """Of the hark that runs the command; a signal sent to it reaches the command."""
        return self._running.pid

    @property
    def stdin(self) -> Any:
        """The command's standard input, where it was asked for as a pipe; so the next two."""
        return self._running.stdin

    @property
    def stdout(self) -> Any:
        """Its standard output."""
        return self._running.stdout

    @property
    def stderr(self) -> Any:
        """Its standard error."""
        return self._running.stderr

    def __iter__(self) -> Iterator[Exchange]:
        while not self._over:
            change = self._changes.get()
            if change is None:
                self._over = True
            elif isinstance(change, HarkError):
                self._over = True
                self._running.wait()
                raise change
            else:
                ended = self.recording.take(change)
                if ended is not None:
                    yield ended

    def wait(self, timeout: float | None = None) -> Recording:
        """Wait for the end; everything that was captured. Raises HarkError, and subprocess.TimeoutExpired, which has
        what was captured so far as its attribute `recording`."""
        try:
            self.recording.status = self._running.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise self._late(error) from None
        for _ in self:
            pass
        return self.recording

    def communicate(self, input: Any = None, timeout: float | None = None) -> Recording:
        """As subprocess.Popen.communicate(), and wait."""
        try:
            self.recording.stdout, self.recording.stderr = self._running.communicate(input, timeout)
        except subprocess.TimeoutExpired as error:
            raise self._late(error) from None
        return self.wait(timeout)

    def _late(self, error: subprocess.TimeoutExpired) -> subprocess.TimeoutExpired:
        """A time-out of the user's command, not of the hark that runs it."""
        self._take_what_came()
        late = subprocess.TimeoutExpired(cast(Any, self._command), error.timeout, error.output, error.stderr)
        return _carrying(late, self.recording)

    def _take_what_came(self) -> None:
        with contextlib.suppress(queue.Empty):
            while not self._over:
                change = self._changes.get_nowait()
                if change is None:
                    self._over = True
                elif not isinstance(change, HarkError):
                    self.recording.take(change)

    def stop(self) -> None:
        """End the command and what it left running, if they still run: SIGTERM, at last SIGKILL."""
        for patience in _PATIENCE:
            if self._running.poll() is not None:
                return
            self._running.send_signal(signal.SIGTERM)  # passed on; after the command's end it ends what is left
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running.wait(patience)
        if self._running.poll() is None:
            self._running.kill()

    def finish(self) -> Recording:
        """Stop, and everything that was captured and written until then."""
        self.stop()
        out, err = self._running.communicate()
        self.recording.stdout, self.recording.stderr = out, err
        return self.wait()

    def terminate(self) -> None:
        """Send the command SIGTERM."""
        self._running.terminate()

    def kill(self) -> None:
        """End hark, and with it the command."""
        self._running.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self.recording.status = self._running.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def _take(feed: int, changes: "queue.SimpleQueue[Change | HarkError | None]") -> None:
    """The thread: lines of the feed become changes."""
    from hark.views.feed import Changes

    made = Changes()
    with open(feed, "rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):  # the last words of a hark that was killed may be cut
                told = json.loads(line)
                if told["what"] == "error":
                    changes.put(HarkError(*told["error"]))  # with the status that it leads to
                    return
                change = made.change(told)
                if change is not None:
                    changes.put(change)
    changes.put(None)


def _words(command: Command, popen: dict[str, Any]) -> list[str | bytes]:
    """The argument vector that subprocess.Popen would make of a command. `popen` loses what concerns hark's own
    process only. Raises ValueError."""
    single = isinstance(command, str | bytes | os.PathLike)
    words = [os.fspath(word) for word in cast(Any, [command] if single else command)]
    if not words:
        raise ValueError("an empty command")
    executable = popen.pop("executable", None)
    if popen.pop("shell", False):
        return [os.fspath(executable or "/bin/sh"), "-c", *words]
    if executable is not None:
        raise ValueError("executable is for shell=True; else the command's first word is the file that runs")
    return words


Late = TypeVar("Late", bound=subprocess.SubprocessError)


def _carrying(error: Late, recording: Recording) -> Late:
    """The error with what was captured as its attribute `recording`."""
    cast(Any, error).recording = recording
    return error


def listen(command: Command, *, max_body: int = MAX_BODY, redact: bool = False, **popen: Any) -> Live:
    """Start a command under hark. redact: without secrets, as --redact. Further arguments are subprocess.Popen's.
    Raises HarkError when iterated over, where the command cannot be run."""
    return Live(command, max_body, popen, redact)


def run(
    command: Command,
    *,
    input: Any = None,
    timeout: float | None = None,
    capture_output: bool = False,
    check: bool = False,
    max_body: int = MAX_BODY,
    redact: bool = False,
    **popen: Any,
) -> Recording:
    """Run a command under hark, wait, and return everything that it exchanged. redact: without secrets, as --redact.
    Other arguments are subprocess.run()'s: a string is the name of a program, and with shell=True a command line.

    Raises HarkError where it cannot be run, subprocess.TimeoutExpired, and with check CalledProcessError; the last two
    have what was captured as their attribute `recording`."""
    if capture_output:
        popen |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        popen["stdin"] = subprocess.PIPE
    with Live(command, max_body, popen, redact) as live:
        try:
            recording = live.communicate(input, timeout)
        except subprocess.TimeoutExpired as error:
            recording = live.finish()
            error.output, error.stderr = recording.stdout, recording.stderr
            raise
    if check and recording.status:
        failed = subprocess.CalledProcessError(recording.status, cast(Any, command), recording.stdout, recording.stderr)
        raise _carrying(failed, recording)
    return recording


def read(
    path: str | os.PathLike[str],
    *,
    keys: Sequence[str | os.PathLike[str]] = (),
    max_body: int = MAX_BODY,
    redact: bool = False,
) -> Recording:
    """Read a recording: pcapng, pcap, HAR, JSON lines. keys: key log files beside it; redact: without secrets, as
    --redact. Raises HarkError."""
    from hark.pipeline.build import redacted
    from hark.pipeline.pipeline import Pipeline, replay
    from hark.recording import reader
    from hark.recording.blocks import Secrets

    name = os.fspath(path)
    found = _Collector()
    blocks: list[Any] = []
    try:
        for key in keys:
            with open(key, "rb") as log:
                blocks.append(Secrets(log.read(), 0, "key log"))
        with open(name, "rb", buffering=0) as file:
            replay(
                chain(blocks, reader.read(file, name)),
                Pipeline([redacted([found], None) if redact else found], max_body),
            )
    except OSError as error:
        raise HarkError(f"cannot read {error.filename or name}", error.strerror or "") from error
    return found.recording


class _Collector(View):
    """Keeps everything."""

    def __init__(self) -> None:
        self.recording = Recording()

    def needs(self) -> Needs:
        """Bodies, for whoever asks for them."""
        return Needs.BODIES

    def change(self, change: Change) -> None:
        """Keep it."""
        self.recording.take(change)
