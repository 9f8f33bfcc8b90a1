"""Filters: which exchanges and failures are shown. They are the same for every view.

What   Each filter has alternatives ("4xx,5xx"); all filters must match. Filtered passes on what matches.
Why    Filters stand between the book and the views, so that no view knows of them and all outputs are filtered alike.
Limits What depends on the response (status, type, time, size, text) is known at the end: with such a filter a view gets
       an exchange when it is over, and nothing of it before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

from hark.errors import UsageError
from hark.model.changes import Answered, Began, Change, Ended, Failed, MessageSeen, OtherProtocol, Superseded, Upgraded
from hark.views.grep import Grep
from hark.views.view import Needs, Passing, View, plural
from hark.wire import urls

if TYPE_CHECKING:
    from hark.model.exchange import Connection, Exchange
    from hark.recording.blocks import Process

    Test = Callable[[Exchange], bool]
_UNITS_TIME = {"": 1e6, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "min": 60e9}
_UNITS_SIZE = {"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9}
_UNITS_SIZE |= {"kib": 1024, "mib": 1 << 20, "gib": 1 << 30}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zµ]*)$", re.I)
_STATUS = re.compile(r"([1-5])xx$|(\d{1,3})-(\d{1,3})$|(>=|<=|>|<)?(\d{1,3})$", re.I)
_BY_REQUEST = ("host", "path", "method", "process")


class Filter(NamedTuple):
    """All filters of a run, parsed."""

    early: tuple[Test, ...]  # tests of the request
    late: tuple[Test, ...]  # tests that need the whole exchange
    hosts: Callable[[Sequence[str]], bool] | None
    processes: Callable[[Sequence[str]], bool] | None
    failed: bool
    grep: Grep | None

    def matches(self, exchange: Exchange) -> bool:
        """Whether an exchange that is over is shown."""
        return all(test(exchange) for test in self.early) and all(test(exchange) for test in self.late)

    def matches_early(self, exchange: Exchange) -> bool:
        """Whether an exchange in progress is shown."""
        return not self.late and all(test(exchange) for test in self.early)

    def matches_other(self, change: Change) -> bool:
        """Whether a change that concerns no exchange is shown: by host and process, unless another filter asks for
        something that only exchanges have."""
        if isinstance(change, Failed | Superseded):
            failure = change.failure
            connection = failure.connection
            at = f"{failure.host}:{failure.port}" if failure.port else ""
            hosts: tuple[str, ...] = (failure.host, at, *(_hosts_of(connection, "") if connection is not None else ()))
            processes = _names_of(failure.process, failure.pid)
        elif isinstance(change, OtherProtocol):
            connection = change.connection
            hosts = ("", *_hosts_of(connection, ""))
            processes = _names_of(connection.process, connection.pid)
        else:
            return True  # it concerns the recording
        match = (self.hosts is None or self.hosts(hosts)) and (self.processes is None or self.processes(processes))
        exact = len(self.early) + len(self.late) - (self.hosts is not None) - (self.processes is not None) - self.failed
        return match and not exact


class Tally:
    """Numbers before filtering: exchanges that ended, and failures."""

    __slots__ = ("exchanges", "failures")

    def __init__(self) -> None:
        self.exchanges = self.failures = 0

    def of(self, exchanges: int, failures: int) -> str:
        """What matched, in words, if not all exchanges did; else ""."""
        if self.exchanges:
            return f"{exchanges} of {plural(self.exchanges, 'exchange')} match" if exchanges < self.exchanges else ""
        return f"no exchanges, 0 of {plural(self.failures, 'failure')} match" if self.failures > failures == 0 else ""


class Filtered(Passing):
    """Passes on what matches, and counts everything."""

    def __init__(self, filter: Filter, views: Sequence[View], tally: Tally | None = None) -> None:
        super().__init__(views)
        self._filter = filter
        self._tally = tally if tally is not None else Tally()

    def needs(self) -> Needs:
        """Bodies, if they are searched."""
        return super().needs() | (Needs.NOTHING if self._filter.grep is None else Needs.BODIES)

    def change(self, change: Change) -> None:
        """Pass it on, or not."""
        if isinstance(change, Ended):
            self._tally.exchanges += 1
            matches = self._filter.matches(change.exchange)
        elif isinstance(change, Began | Answered | Upgraded | MessageSeen):
            matches = self._filter.matches_early(change.exchange)
        else:
            self._tally.failures += isinstance(change, Failed)
            matches = self._filter.matches_other(change)
        if matches:
            self._pass(change)


class WithoutFailures(Passing):
    """Passes on everything but failures: --no-failures."""

    def change(self, change: Change) -> None:
        """Pass it on, or not."""
        if type(change) is not Failed and type(change) is not Superseded:
            self._pass(change)


def parse(filters: dict[str, list[str]]) -> Filter | None:
    """The options --host, --path … as a filter; None if there are none. Raises UsageError.

    An option that is given several times, and words with commas, are alternatives; a word that begins with "!"
    excludes."""
    tests: dict[str, Test] = {}
    for name, words in filters.items():
        tests[name] = _TESTS[name]([part for word in words for part in _parts(name, word)])
    if not tests:
        return None
    hosts = fits("host", filters["host"]) if "host" in filters else None
    processes = fits("process", filters["process"]) if "process" in filters else None
    return Filter(
        tuple(test for name, test in tests.items() if name in _BY_REQUEST),
        tuple(test for name, test in tests.items() if name not in _BY_REQUEST),
        hosts,
        processes,
        "failed" in filters,
        Grep(filters["grep"]) if "grep" in filters else None,
    )


def _parts(name: str, word: str) -> list[str]:
    if name == "grep":
        return [word]
    return [part.strip() for part in word.split(",") if part.strip()]


# -- words -------------------------------------------------------------------------------------------------------------


def _any(words: Sequence[str], make: Callable[[str], Callable[[str], bool]]) -> Callable[[Sequence[str]], bool]:
    """A test whether some names have one that fits one of the words, and none that fits an excluding word."""
    parts = [part for word in words for part in _parts("", word)]
    wanted = [make(part.lower()) for part in parts if not part.startswith("!")]
    unwanted = [make(part[1:].lower()) for part in parts if part.startswith("!")]

    def fitting(names: Sequence[str]) -> bool:
        names = [name.lower() for name in names if name]
        if any(test(name) for test in unwanted for name in names):
            return False
        return not wanted or any(test(name) for test in wanted for name in names)

    return fitting


def fits(name: str, words: Sequence[str]) -> Callable[[Sequence[str]], bool]:
    """The test of a filter on the values themselves: hosts, paths, methods, statuses, types, processes. Raises
    UsageError."""
    return _any(words, _WORDS[name])


def parts_of(url: str) -> tuple[str, str]:
    """(host with its port, path with its query) of a URL."""
    scheme, authority, rest = urls.split(url)
    path = rest if scheme else ""
    return authority.rpartition("@")[2], path if path.startswith("/") else f"/{path}"


def _glob(word: str) -> Callable[[str], bool]:
    match = re.compile(translate(word), re.I).match
    return lambda name: match(name) is not None


def _host(word: str) -> Callable[[str], bool]:
    """A host with its subdomains, host:port, or a pattern."""
    word = _absolute(word)
    if "*" in word or "?" in word:
        test = _glob(word)
        return lambda name: test(_absolute(name))
    word = word[1:-1] if word[:1] == "[" and word[-1:] == "]" else word
    return lambda name: (name := _absolute(name)) == word or name.endswith("." + word.removeprefix("."))


def _absolute(name: str) -> str:
    """A host, with its port, without the dot that ends an absolute name (RFC 1034 §3.1)."""
    host, colon, port = name.partition(":") if name.count(":") == 1 else (name, "", "")
    return host.removesuffix(".") + colon + port


def _path(word: str) -> Callable[[str], bool]:
    """The beginning of a path, or a pattern for all of it; without a slash any part of it."""
    if "*" in word or "?" in word:
        return _glob(word if word.startswith(("/", "*")) else f"*{word}")
    if word.startswith("/"):
        return lambda name: name.startswith(word)
    return lambda name: word in name


def _kind(word: str) -> Callable[[str], bool]:
    if "*" in word:
        return _glob(word)
    return lambda name: word in name


def _status(word: str) -> Callable[[str], bool]:
    match = _STATUS.match(word)
    if match is None:
        raise UsageError(f"--status {word} is not a status", "", "such as 404, 4xx, 500-599, '>=400', 4xx,5xx")
    hundreds, low, high, sign, exact = match.groups()
    if hundreds:
        return lambda name: name[0] == hundreds and len(name) == 3
    if low:
        return lambda name: int(low) <= int(name) <= int(high)
    number = int(exact)
    compare = {
        ">=": number.__le__, "<=": number.__ge__, ">": number.__lt__, "<": number.__gt__, None: number.__eq__,
    }[sign]  # fmt: skip
    return lambda name: compare(int(name))


_WORDS = {"host": _host, "path": _path, "method": _glob, "status": _status, "type": _kind, "process": _glob}


def _quantity(option: str, words: list[str], units: dict[str, float], example: str) -> float:
    match = _QUANTITY.match(words[0]) if len(words) == 1 else None
    unit = match[2].lower() if match is not None else "?"
    if match is None or unit not in units:
        kind, such = example.split()
        raise UsageError(f"--{option} {','.join(words)} is not a {kind}", "", f"such as {such}")
    return float(match[1]) * units[unit]


# -- values to test ----------------------------------------------------------------------------------------------------


def _hosts_of(connection: Connection, url: str) -> tuple[str, ...]:
    sni = connection.tls.sni if connection.tls is not None else ""
    address, port = connection.server
    host = parts_of(url)[0]
    name = re.sub(r":\d+$", "", host).strip("[]")
    if url:
        return host, name, address, f"{name}:{port}"
    return sni, connection.name, address, f"{address}:{port}"


def _names_of(process: Process | None, pid: int) -> tuple[str, ...]:
    if process is None:
        return (str(pid),) if pid else ()
    return process.name, str(process.pid), process.exe, process.exe.rpartition("/")[2]


def _test_host(words: list[str]) -> Test:
    fitting = fits("host", words)
    return lambda exchange: fitting(_hosts_of(exchange.connection, exchange.url))


def _test_process(words: list[str]) -> Test:
    fitting = fits("process", words)
    return lambda exchange: fitting(_names_of(exchange.connection.process, exchange.connection.pid))


def _test_path(words: list[str]) -> Test:
    fitting = fits("path", words)
    return lambda exchange: fitting((parts_of(exchange.url)[1],))


def _test_method(words: list[str]) -> Test:
    fitting = fits("method", words)
    return lambda exchange: fitting((exchange.request.method if exchange.request is not None else "-",))


def _test_status(words: list[str]) -> Test:
    fitting = fits("status", words)
    return lambda exchange: fitting((str(exchange.response.status if exchange.response is not None else 0),))


def _test_kind(words: list[str]) -> Test:
    fitting = fits("type", words)

    def test(exchange: Exchange) -> bool:
        kinds = [exchange.response_header("content-type") or "-"]
        if exchange.socket:
            kinds.append("websocket")
        elif exchange.is_grpc:
            kinds.append("grpc")
        return fitting(kinds)

    return test


def _test_slower(words: list[str]) -> Test:
    least = _quantity("slower", words, _UNITS_TIME, "duration 500ms")
    return lambda exchange: exchange.ended - exchange.began >= least


def _test_larger(words: list[str]) -> Test:
    least = _quantity("larger", words, _UNITS_SIZE, "size 1MB")
    return lambda exchange: max(exchange.response_body.size, exchange.request_body.size) >= least


def failed(exchange: Exchange) -> bool:
    """Whether it failed: an error status, no response, an incomplete one, a gRPC error."""
    if exchange.trouble or exchange.response is None or exchange.response.status >= 400:
        return True
    if exchange.is_grpc:
        from hark.views.messages import grpc_status

        return bool(grpc_status(exchange)[0])
    return False


def _test_failed(words: list[str]) -> Test:
    return failed


def _test_grep(words: list[str]) -> Test:
    grep = Grep(words)
    return lambda exchange: next(grep.matches(exchange), None) is not None


_TESTS: dict[str, Callable[[list[str]], Test]] = {
    "host": _test_host,
    "path": _test_path,
    "method": _test_method,
    "process": _test_process,
    "status": _test_status,
    "type": _test_kind,
    "slower": _test_slower,
    "larger": _test_larger,
    "failed": _test_failed,
    "grep": _test_grep,
}
