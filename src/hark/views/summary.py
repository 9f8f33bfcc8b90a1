"""A report on the whole run: --summary.

What   Hosts with counts, bytes and times; the slowest requests; errors; failures and connections that were not
       decrypted; redirects; retries and duplicate requests; connections that were not reused.
Why    A program is seldom slow or broken because of one request. What it does too often shows only here.
Limits HOSTS hosts, REQUESTS different requests and CONNECTIONS connections are distinguished; later hosts are counted
       as "others".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappush, heappushpop
from typing import TYPE_CHECKING

from hark.model.changes import Change, Ended, Failed
from hark.model.failure import FailureKind
from hark.views import failures
from hark.views.filters import Tally, failed
from hark.views.view import Needs, Screen, View, duration, host, plural, request_line, safe, size

if TYPE_CHECKING:
    from hark.model.exchange import Exchange
    from hark.model.failure import Failure

_HOSTS, _REQUESTS, _CONNECTIONS = 10_000, 100_000, 100_000
_SHOWN = 10
_RETRY = 10_000_000_000  # ns after a failure within which the same request counts as a retry


class _Host:
    """The counts of one host."""

    def __init__(self) -> None:
        self.count = self.sent = self.received = self.time = self.errors = 0
        self.connections = 0


class Summary(View):
    """Counts exchanges and failures; writes the report at the end. tally: numbers before filtering."""

    def __init__(self, write: Callable[[bytes], None], tally: Tally | None = None) -> None:
        self._write = write
        self._tally = tally
        self._counts = failures.Counts()
        self._failed: Counter[str] = Counter()
        self._encrypted: Counter[str] = Counter()
        self._hosts: dict[str, _Host] = {}
        self._status: Counter[str] = Counter()
        self._slowest: list[tuple[int, int, str]] = []
        self._errors: Counter[str] = Counter()
        self._redirects: Counter[str] = Counter()
        self._requests: Counter[bytes] = Counter()  # by a digest of method, URL and body
        self._named: dict[bytes, str] = {}
        self._failures: dict[bytes, int] = {}
        self._retries: Counter[str] = Counter()
        self._connections: dict[int, tuple[str, int]] = {}  # (host, exchanges) by number

    def needs(self) -> Needs:
        """Requests are the same where their bodies are."""
        return Needs.BODIES

    def change(self, change: Change) -> None:
        """Count what has ended."""
        if type(change) is Ended:
            self._count(change.exchange)
        elif type(change) is Failed:
            self._count_failure(change.failure)

    def _count(self, exchange: Exchange) -> None:
        name = host(exchange)
        if name not in self._hosts and len(self._hosts) >= _HOSTS:
            name = "others"
        counts = self._hosts.setdefault(name, _Host())
        taken = exchange.ended - exchange.began
        counts.count += 1
        counts.sent += exchange.request_body.size
        counts.received += exchange.response_body.size
        counts.time += taken
        what = request_line(exchange)
        status = exchange.response.status if exchange.response is not None else 0
        self._status[f"{status // 100}xx" if status else "no answer"] += 1
        push = heappushpop if len(self._slowest) >= _SHOWN else heappush
        push(self._slowest, (taken, -exchange.number, what))
        bad = failed(exchange)
        if bad:
            counts.errors += 1
            _add(self._errors, f"{status or 'failed'} {what}{f': {exchange.trouble}' if exchange.trouble else ''}")
        if 300 <= status < 400 and exchange.response_header("location"):
            _add(self._redirects, f"{status} {what} -> {exchange.response_header('location')}")
        self._again(exchange, what, bad)
        number = exchange.connection.number
        if number in self._connections or len(self._connections) < _CONNECTIONS:
            if number not in self._connections:
                counts.connections += 1
            self._connections[number] = (name, self._connections.get(number, ("", 0))[1] + 1)

    def _count_failure(self, failure: Failure) -> None:
        self._counts.add(failure.kind)
        if failure.kind is FailureKind.ENCRYPTED:
            library = ", ".join(failures.libraries(failure)) or failure.version
            _add(self._encrypted, f"{failures.what(failure)}{f' {library}' if library else ''}")
        else:
            _add(self._failed, failures.line(failure))

    def _again(self, exchange: Exchange, what: str, bad: bool) -> None:
        """Count a request that has the method, URL and body of an earlier one: a retry if that one failed."""
        digest = blake2b(f"{what}\0{exchange.request_body.size}\0".encode("utf-8", "replace"), digest_size=16)
        digest.update(exchange.request_body.raw)
        key = digest.digest()
        if key not in self._requests and len(self._requests) >= _REQUESTS:
            return
        when = self._failures.pop(key, 0)
        if when and 0 <= exchange.started - when < _RETRY:
            _add(self._retries, what)
        if bad:
            self._failures[key] = exchange.ended
        self._requests[key] += 1
        if self._requests[key] == 2:
            self._named[key] = what

    def end(self) -> int:
        """Write the report."""
        lines: list[str] = []
        count = sum(counts.count for counts in self._hosts.values())
        failed = "".join(f", {clause}" for clause in self._counts.clauses())
        matched = self._tally.of(count, len(self._counts)) if self._tally is not None else ""
        if self._hosts:
            answers = ", ".join(f"{many} {name}" for name, many in sorted(self._status.items()))
            counted = f"{matched or plural(count, 'exchange')} with {plural(len(self._hosts), 'host')}"
            lines.append(f"{counted}: {answers}{failed}")
            self._table(lines)
            self._most(
                lines, "slowest", [(duration(taken), what) for taken, _, what in sorted(self._slowest, reverse=True)]
            )
            self._counted(lines, "errors", self._errors)
            self._unseen(lines)
            self._counted(lines, "redirects", self._redirects)
            self._counted(lines, "retries", self._retries)
            twice = Counter({what: self._requests[key] for key, what in self._named.items()})
            self._counted(lines, "duplicate requests", twice)
            self._unused(lines)
        else:
            lines.append((matched or "no exchanges") + failed)
            self._unseen(lines)
        self._write("".join(f"{safe(line)}\n" for line in lines).encode("utf-8", "backslashreplace"))
        return 0

    def _unseen(self, lines: list[str]) -> None:
        """Failures."""
        self._counted(lines, "failed", self._failed)
        self._counted(lines, "not decrypted", self._encrypted)

    def _table(self, lines: list[str]) -> None:
        rows = [("host", "exchanges", "errors", "sent", "received", "mean", "connections")]
        ordered = sorted(self._hosts.items(), key=lambda item: -item[1].count)
        for name, counts in ordered[:_SHOWN]:
            mean = duration(counts.time // counts.count)
            sums = str(counts.count), str(counts.errors), size(counts.sent), size(counts.received), mean
            rows.append((name, *sums, str(counts.connections)))
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        for row in rows:
            cells = [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
            lines.append("  " + "  ".join(cells))
        if len(ordered) > _SHOWN:
            lines.append(f"  and {plural(len(ordered) - _SHOWN, 'host')} more")

    def _counted(self, lines: list[str], title: str, counted: Counter[str]) -> None:
        rows = [(f"{many} x", what) for what, many in counted.most_common(_SHOWN)]
        self._most(lines, f"{title} ({sum(counted.values())})" if counted else title, rows)
        if len(counted) > _SHOWN:
            lines.append(f"  and {len(counted) - _SHOWN} more")

    @staticmethod
    def _most(lines: list[str], title: str, rows: list[tuple[str, str]]) -> None:
        if rows:
            lines.append(f"{title}:")
            width = max(len(left) for left, _ in rows)
            lines += [f"  {left.rjust(width)}  {what}" for left, what in rows]

    def _unused(self, lines: list[str]) -> None:
        """Hosts with several connections that carried one exchange each."""
        single: Counter[str] = Counter(name for name, used in self._connections.values() if used == 1)
        wasted = Counter({name: many for name, many in single.items() if many > 1})
        self._counted(lines, "connections not reused", wasted)


def _add(counted: Counter[str], what: str) -> None:
    if what in counted or len(counted) < _HOSTS:
        counted[what] += 1


def view(screen: Screen) -> Summary:
    """--summary."""
    return Summary(screen.write, screen.tally)
