"""An entry of an archive that tells a failure (`_failure`, docs/json.md) as a failure, so that every view tells it as it
tells one that was seen.

What   is_failure(entry) looks, failure(entry) makes the value. The entry is kept, and is what structured views give back.
Limits An entry whose `_failure` is none that is known here is told as an exchange without a response.
"""

from dataclasses import dataclass, field
from typing import Any

from hark.decode.endings import Ending, How, Phase
from hark.decode.events import Dns, Side, TlsFacts
from hark.model.archive import process_of, time_ns
from hark.model.complete import complete, dict_of, int_of, list_of_text, text_of
from hark.model.exchange import Connection
from hark.model.failure import Failure, FailureKind

Json = dict[str, Any]
_SIDES = {"client": Side.CLIENT, "server": Side.SERVER}
_KINDS, _PHASES, _HOW = (frozenset(kind) for kind in (FailureKind, Phase, How))


@dataclass(frozen=True, slots=True)
class ArchivedFailure(Failure):
    """A failure out of an archive; entry is what the archive says of it, made complete."""

    entry: Json = field(default_factory=dict)


def is_failure(told: Json) -> bool:
    """Whether an entry tells a failure, of a kind and in a phase that are known here."""
    facts = told.get("_failure")
    return isinstance(facts, dict) and facts.get("kind") in _KINDS and facts.get("phase") in _PHASES


def failure(told: Json) -> ArchivedFailure:
    """The failure that an entry tells. The entry is completed in place."""
    entry = complete(told)
    facts = entry["_failure"]
    started = time_ns(entry["startedDateTime"])
    time = started + round(entry["time"] * 1000) * 1000
    libraries = tuple(list_of_text(facts, "libraries"))
    pid, process = process_of(entry.get("_process"))
    process = process._replace(tls=libraries) if process is not None else None
    kind, host = FailureKind(facts["kind"]), text_of(facts, "host")
    answer = connection = None
    if "rcode" in facts:
        answer = Dns(time, started, host, text_of(facts, "type"), text_of(facts, "rcode"), (), pid)
    else:
        connection = _connection(entry, host, started, pid)
        connection.process = process
    how, side = facts.get("how"), _SIDES.get(text_of(facts, "by"))
    ending = Ending(side, How(how), time, text_of(facts, "detail")) if how in _HOW else None
    return ArchivedFailure(
        kind, Phase(facts["phase"]), started, time, text_of(facts, "why"), process, pid, connection, answer, ending,
        text_of(facts, "seen"), max(int_of(facts, "bytes", 0), 0), text_of(facts, "version"), entry,
    )  # fmt: skip


def _connection(entry: Json, host: str, opened: int, pid: int) -> Connection:
    number = entry["connection"]
    port = int_of(entry["_failure"], "port", 0)
    server = entry["serverIPAddress"].strip("[]") or host
    made = Connection(
        int(number) if number.isdecimal() and len(number) < 10 else 0, opened, ("", 0), (server, port), pid, None
    )
    made.name = host if host != server else ""
    tls = entry.get("_tls")
    if tls is not None:
        sni = text_of(dict_of(entry, "_tls"), "sni")
        made.tls = TlsFacts(
            made.number, 0, 0, 0, text_of(tls, "version"), text_of(tls, "cipher"), sni, text_of(tls, "alpn"), False, "", b""
        )
    return made
