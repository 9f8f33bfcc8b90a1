"""The terminal view: a line for each exchange, more on request, a summary at the end.

What   The lines of a batch are written in one call, so that they do not interrupt the program's own output and do not
       cost a system call each.
Why    A line has what a developer looks for first: request, status, duration, process.
Limits On a terminal a line fits the width: the URL is shortened (views/fitting.py), its path last; then a long reason
       gets a line of its own, and the rest may take a second row. Nothing is padded, because the column in which a
       program has left the cursor is not known. In other outputs nothing is cut. Bodies (-vv) end after a screenful.
Start  Every run loads this module, with or without requests: what only a line needs is imported with the first line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import islice

from hark.model.changes import (
    Began,
    Change,
    Ended,
    Failed,
    MessageSeen,
    OtherProtocol,
    PassedOver,
    RecordingTrouble,
    Superseded,
    Upgraded,
)
from hark.views.view import Needs, Screen, View, duration, host, plural, request_line, safe, size, who

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.decode.events import Message
    from hark.model.exchange import Exchange
    from hark.model.failure import Failure
    from hark.views.failures import Counts
    from hark.views.filters import Tally
    from hark.views.grep import Grep
    from hark.views.schema import Schema

PATIENCE = 1_000_000_000  # ns after which a request without a response gets a line
_LEAST = 20  # columns of the URL that are always shown
_MATCHES = 5  # matches of --grep that are shown of an exchange
_ADVISED = 10_000  # remedies that are remembered, so that each is shown once; later ones are repeated
_MESSAGE_WIDTH = 200  # columns of a message's line at -v
_CONNECTIONS = 10_000  # connections that are remembered, so that each is described once

_RED, _GREEN, _YELLOW, _CYAN, _DIM, _BOLD = "31", "32", "33", "36", "2", "1"


class Terminal(View):
    """Writes lines. verbosity: 0 lines, 1 headers too, 2 bodies too. width: columns, 0: nothing is cut. tally: numbers
    before filtering. stamp: makes the time at the beginning of a line, from ns since the epoch."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        verbosity: int = 0,
        color: bool = False,
        width: int = 0,
        schema: Schema | None = None,
        grep: Grep | None = None,
        tally: Tally | None = None,
        stamp: Callable[[int], str] | None = None,
    ) -> None:
        self._stamp = stamp
        self._tally = tally
        self._write = write
        self._grep = grep
        self._schema = schema
        self._verbosity = verbosity
        self._color = color
        self._width = width
        self._lines: list[str] = []
        self._waiting: dict[int, Exchange] = {}
        self._hosts: Counter[str] = Counter()
        self._others: Counter[str] = Counter()  # connections by other protocols
        self._passed: list[str] = []
        self._exchanges = self._errors = 0
        self._failed: Counts | None = None  # None while nothing has failed
        self._advised: set[tuple[str, str]] = set()  # (program, remedy): each is shown once
        self._described: set[tuple[int, bool]] = set()  # (connection's number, whether inside a proxied TLS)

    # -- the view's interface ------------------------------------------------------------------------------------------

    def needs(self) -> Needs:
        """Bodies, if they are shown."""
        return Needs.BODIES if self._verbosity > 1 else Needs.NOTHING

    def change(self, change: Change) -> None:
        """Show a change."""
        if isinstance(change, Ended):
            self._ended(change.exchange)
        elif isinstance(change, Began):
            self._waiting[change.exchange.number] = change.exchange
        elif isinstance(change, MessageSeen):
            if self._verbosity:
                self._message(change.exchange, change.message)
        elif isinstance(change, Upgraded):
            self._upgraded(change.exchange)
        elif isinstance(change, Failed):
            self._failure(change.failure)
        elif isinstance(change, Superseded):
            if self._verbosity:
                self._superseded(change.failure)
        elif isinstance(change, OtherProtocol):
            self._others[change.connection.protocol or "an unknown protocol"] += 1
        elif isinstance(change, PassedOver):
            if self._verbosity or not change.harmless:
                self._passed.append(f"{plural(change.frames, 'frame')} of {change.what}")
        elif isinstance(change, RecordingTrouble):
            self._lines.append(self._paint(_YELLOW, f"hark: {safe(change.trouble.text)}"))

    def tick(self, now: int) -> None:
        """Show requests that wait for a response; write the lines."""
        if self._waiting:
            for number, exchange in list(self._waiting.items()):
                if now - exchange.started < PATIENCE:
                    break
                del self._waiting[number]
                if exchange.response is None:
                    self._line(request_line(exchange), self._paint(_DIM, "waiting"), _maker(exchange), exchange.started)
        self._flush()

    def end(self) -> int:
        """Write the rest, and the summary."""
        if self._passed:
            self._lines.append(self._paint(_DIM, f"hark: not decoded: {', '.join(self._passed)}"))
        self._lines.append(self._paint(_BOLD, self.summary()))
        self._flush()
        return 0

    def summary(self) -> str:
        """The last line of the output."""
        count = self._exchanges
        failed = len(self._failed) if self._failed is not None else 0
        matched = self._tally.of(count, failed) if self._tally is not None else ""
        text = f"hark: {matched or (plural(count, 'exchange') if count else 'no exchanges')}"
        if self._hosts:
            hosts = len(self._hosts)
            text += f" with {safe(next(iter(self._hosts)))}" if hosts == 1 else f" with {hosts} hosts"
        notes = []
        if self._errors:
            notes.append(plural(self._errors, "error"))
        if self._failed is not None:
            notes += self._failed.clauses()
        if self._others:
            count = sum(self._others.values())
            notes.append(f"{plural(count, 'connection')} with {', '.join(sorted(self._others))}")
        return text + "".join(f", {note}" for note in notes)

    # -- lines ---------------------------------------------------------------------------------------------------------

    def _ended(self, exchange: Exchange) -> None:
        self._waiting.pop(exchange.number, None)
        self._exchanges += 1
        response = exchange.response
        name = host(exchange)
        if len(self._hosts) < 10_000 or name in self._hosts:
            self._hosts[name] += 1
        status = response.status if response is not None else 0
        if exchange.trouble or status >= 400 or not status:
            self._errors += 1
        if exchange.socket:
            self._socket_ended(exchange)
            return
        facts = []
        kind = _kind(exchange.response_header("content-type"))
        if kind and exchange.response_body.size:
            facts.append(safe(kind))
        if status:
            facts.append(size(exchange.response_body.size))
        facts.append(duration(exchange.ended - exchange.began))
        facts.append(exchange.protocol)
        reasons = self._grpc(exchange) if exchange.is_grpc else []
        if exchange.trouble:
            reasons.append(self._paint(_RED, safe(exchange.trouble)))
        first = self._status(status) if status else ""
        self._line(request_line(exchange), " ".join(facts), _maker(exchange), exchange.began, " ".join(reasons), first)
        self._more(exchange)

    # -- WebSockets and messages ---------------------------------------------------------------------------------------

    def _upgraded(self, exchange: Exchange) -> None:
        self._waiting.pop(exchange.number, None)
        taken = duration(exchange.answered - exchange.started)
        assert exchange.response is not None
        facts = f"{self._status(exchange.response.status)} websocket {taken}"
        self._line(request_line(exchange), facts, _maker(exchange), exchange.started)

    def _socket_ended(self, exchange: Exchange) -> None:
        sent, received = exchange.messages_seen
        facts = f"closed {sent} sent, {received} received {duration(exchange.ended - exchange.started)}"
        reason = self._paint(_RED, safe(exchange.trouble)) if exchange.trouble else ""
        self._line(request_line(exchange), facts, _maker(exchange), exchange.started, reason)
        self._more(exchange)

    def _message(self, exchange: Exchange, message: Message) -> None:
        from hark.decode.events import Side
        from hark.views.excerpt import screenful
        from hark.views.messages import readable

        mark = ">" if message.side == Side.CLIENT else "<"
        text = readable(exchange, message, self._schema)
        lines, more = text.splitlines() or [""], ""
        if self._verbosity > 1:
            lines, more = screenful(lines, self._width)
        name = f"{message.kind} {message.name}" if message.name not in ("", "message") else message.kind
        first = f"{mark} {self._paint(_CYAN, safe(name))} {size(message.size)} {safe(lines[0])}".rstrip()
        if self._verbosity < 2 and len(first) > _MESSAGE_WIDTH:
            first = first[:_MESSAGE_WIDTH] + "…"
        first = f"{self._stamp(message.time)} {first}" if self._stamp is not None else first
        self._lines.append(f"{first}  {self._paint(_DIM, safe(request_line(exchange)))}")
        if self._verbosity > 1:
            self._lines += [f"{mark} {safe(line)}" for line in lines[1:]]
            if more:
                self._lines.append(self._paint(_DIM, f"{mark} … {more}; {size(message.size)} in all"))

    def _grpc(self, exchange: Exchange) -> list[str]:
        from hark.views.messages import grpc_status, status_name

        status, text = grpc_status(exchange)
        if not status:
            return []
        self._errors += 1
        return [self._paint(_RED, safe(f"{status_name(status)}{f': {text}' if text else ''}"))]

    def _line(self, left: str, facts: str, maker: str, time: int, reason: str = "", first: str = "") -> None:
        """Add a line: what it is about, a status, a reason, facts, the process. `left` and `maker` are made safe here,
        the rest is, and may have colours. A reason that leaves too little width to `left` gets a line below. time: for
        the stamp, ns since the epoch."""
        left, maker = safe(left), safe(maker)
        tail = " ".join(part for part in (first, reason, facts, maker) if part)
        inside = True
        stamp = f"{self._stamp(time)} " if self._stamp is not None else ""
        width = max(self._width - len(stamp), 1) if self._width else 0
        if width:
            from hark.views.fitting import columns, fit, least

            if columns(left) + columns(tail) >= width:
                enough = max(min(least(left), width // 2), _LEAST)  # columns that a reason must leave
                inside = not reason or width - columns(tail) - 1 >= enough
                if not inside:
                    tail = " ".join(part for part in (first, facts, maker) if part)
                left = fit(left, max(width - columns(tail) - 1, _LEAST))
        self._lines.append(f"{self._paint(_DIM, stamp) if stamp else ''}{left} {tail}")
        if not inside:
            self._lines.append(f"  {reason}")

    def _status(self, status: int) -> str:
        color = _GREEN if status < 300 else _CYAN if status < 400 else _YELLOW if status < 500 else _RED
        return self._paint(color, str(status))

    def _paint(self, color: str, text: str) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self._color else text

    def _failure(self, failure: Failure) -> None:
        """What failed and why; below it the last thing seen, and what would help."""
        from hark.model.failure import FailureKind
        from hark.views import failures

        if self._failed is None:
            self._failed = failures.Counts()
        self._failed.add(failure.kind)
        encrypted = failure.kind is FailureKind.ENCRYPTED
        why = f"not decrypted, {failures.ciphertext(failure)}" if encrypted else failure.why
        took = duration(failures.taken(failure))
        reason = self._paint(_YELLOW if encrypted else _RED, safe(why))
        facts = "" if f"after {took}" in why else took
        self._line(failures.what(failure), facts, who(failure.process, failure.pid), failure.started, reason)
        below = [
            part for part in (failure.why if encrypted else "", failures.seen(failure), self._advice(failure)) if part
        ]
        if below:
            self._lines.append(self._paint(_YELLOW, f"  {safe('; '.join(below))}"))

    def _superseded(self, failure: Failure) -> None:
        """An attempt that failed while another one succeeded."""
        from hark.views import failures

        why = self._paint(_DIM, f"{safe(failure.why)}; another attempt succeeded")
        self._line(failures.what(failure), "", who(failure.process, failure.pid), failure.started, why)

    def _advice(self, failure: Failure) -> str:
        """What would help, once for each program."""
        from hark.views.advice import remedy

        process = failure.process
        program = (process.exe or process.name) if process is not None else str(failure.pid)
        advice = remedy(failure)
        if (program, advice) in self._advised:
            return ""
        if len(self._advised) < _ADVISED:
            self._advised.add((program, advice))
        return advice

    def _more(self, exchange: Exchange) -> None:
        """The lines below an exchange's line: matches of --grep, details."""
        for match in islice(self._grep.matches(exchange), _MATCHES) if self._grep is not None else ():
            before, after = match.line[: match.start], match.line[match.end :]
            text = self._paint(_RED, safe(match.line[match.start : match.end]))
            where = self._paint(_DIM, f"{match.where}:")
            self._lines.append(f"  {where} {safe(before)}{text}{safe(after)}".rstrip())
        if self._verbosity:
            from hark.views.verbose import details

            self._connection(exchange)
            self._lines += details(exchange, self._verbosity > 1, self._width, self._paint)

    def _connection(self, exchange: Exchange) -> None:
        """A line about the connection: for its first request, and for the first one inside TLS through a proxy."""
        connection = exchange.connection
        again = connection.through and connection.tls is not None
        if (connection.number, again) in self._described or not (exchange.first or again):
            return
        from hark.views.connecting import line

        if len(self._described) >= _CONNECTIONS:
            self._described.clear()
        self._described.add((connection.number, again))
        self._lines.append(self._paint(_DIM, f"* {safe(line(exchange))}"))

    def _flush(self) -> None:
        if self._lines:
            text = "\n".join(self._lines) + "\n"
            self._lines.clear()
            self._write(text.encode("utf-8", "backslashreplace"))


def _maker(exchange: Exchange) -> str:
    return who(exchange.connection.process, exchange.connection.pid)


def _kind(mime: str) -> str:
    """A media type, short: json, html, png, octet-stream."""
    name = mime.partition(";")[0].strip().lower()
    return name.partition("/")[2].removeprefix("x-").rpartition("+")[2] or name


def view(screen: Screen) -> Terminal:
    """The default output on the screen."""
    return Terminal(
        screen.write,
        screen.verbosity,
        screen.color,
        screen.width,
        screen.schema,
        screen.grep,
        screen.tally,
        screen.stamp,
    )
