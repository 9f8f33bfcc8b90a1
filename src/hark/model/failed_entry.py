"""Entries with a `_failure` (docs/json.md) as failures, so that every view handles them as those that were captured.

What   is_failure(entry) checks, failure(entry) makes the value. The entry is kept: structured views write it unchanged.
Limits An entry whose `_failure` has a kind or phase that is not known here is an exchange without a response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from hark.decode.endings import Ending, How, Phase, Side
from hark.decode.events import Dns, TlsFacts
from hark.decode.undecrypted import Undecrypted
from hark.model.complete import complete, int_of, list_of_text, number_of, process_of, text_of
from hark.model.exchange import Connection
from hark.model.failure import Failure, FailureKind
from hark.wire.isotime import time_ns

if TYPE_CHECKING:
    from hark.model.entry import Entry, EntryFailure

Json = dict[str, Any]
_SIDES = {"client": Side.CLIENT, "server": Side.SERVER}
_KINDS, _PHASES, _HOW = (frozenset(kind) for kind in (FailureKind, Phase, How))


def is_failure(entry: Mapping[str, object]) -> bool:
    """Whether an entry is a failure, of a kind and in a phase that are known here."""
    facts = entry.get("_failure")
    if not isinstance(facts, dict):
        return False
    kind, phase = facts.get("kind"), facts.get("phase")
    return isinstance(kind, str) and kind in _KINDS and isinstance(phase, str) and phase in _PHASES


def failure(raw: Json | Entry) -> Failure:
    """The failure of an entry, which is completed in place."""
    entry = complete(raw)
    facts = _typed(cast("Json", entry["_failure"]))
    started = time_ns(entry["startedDateTime"])
    time = started + round(entry["time"] * 1000) * 1000
    pid, process = process_of(entry.get("_process"))
    process = process._replace(tls=tuple(facts.get("libraries", ()))) if process is not None else None
    kind, host = FailureKind(facts["kind"]), facts["host"]
    answer = connection = None
    if "rcode" in facts:
        answer = Dns(time, started, host, facts.get("type", ""), facts["rcode"], (), pid)
    else:
        connection = _connection(entry, facts, started, pid)
        connection.process = process
    how, side = facts["how"], _SIDES.get(facts["by"] or "")
    ending = Ending(side, How(how), time, facts.get("detail", "")) if how else None
    return Failure(
        kind, Phase(facts["phase"]), started, time, facts["why"], process, pid, connection, answer, ending,
        facts["seen"], facts["bytes"], facts.get("version", ""), entry,
        Undecrypted.of(facts["why"]) if kind is FailureKind.ENCRYPTED else None,
    )  # fmt: skip


def _typed(facts: Json) -> EntryFailure:
    """The facts, completed in place like the rest of an entry (complete.py)."""
    for name in ("host", "why", "seen", "remedy", "process"):
        facts[name] = text_of(facts, name)
    for name in ("port", "bytes"):
        facts[name] = max(int_of(facts, name, 0), 0)
    facts["seconds"] = max(number_of(facts, "seconds", 0), 0)
    for name, known in (("by", _SIDES), ("how", _HOW)):
        value = facts.get(name)
        facts[name] = value if isinstance(value, str) and value in known else None
    for name in ("detail", "version", "rcode", "type"):
        if name in facts:
            facts[name] = text_of(facts, name)
    if "libraries" in facts:
        facts["libraries"] = list_of_text(facts, "libraries")
    return cast("EntryFailure", facts)


def _connection(entry: Entry, facts: EntryFailure, opened: int, pid: int) -> Connection:
    name, host = entry["connection"], facts["host"]
    number = int(name) if name.isdecimal() and len(name) < 10 else 0
    address = entry["serverIPAddress"].strip("[]") or host
    connection = Connection(number, opened, ("", 0), (address, facts["port"]), pid, None)
    connection.name = host if host != address else ""
    tls = entry.get("_tls")
    if tls is not None:
        connection.tls = TlsFacts(
            number, 0, 0, 0, tls.get("version", ""), tls.get("cipher", ""), tls.get("sni", ""), tls.get("alpn", ""),
            False, "", b"",
        )  # fmt: skip
    return connection
