"""An entry of an archive that tells a failure (`_failure`, docs/json.md) as a failure, so that every view tells it as
it tells one that was seen.

What   is_failure(entry) looks, failure(entry) makes the value. The entry is kept: structured views give it back.
Limits An entry whose `_failure` is none that is known here is told as an exchange without a response.
"""

from typing import Any

from hark.decode.endings import Ending, How, Phase, Side
from hark.decode.events import Dns, TlsFacts
from hark.model.complete import complete, dict_of, int_of, list_of_text, number_of, process_of, text_of
from hark.model.exchange import Connection
from hark.model.failure import Failure, FailureKind
from hark.wire.isotime import time_ns

Json = dict[str, Any]
_SIDES = {"client": Side.CLIENT, "server": Side.SERVER}
_KINDS, _PHASES, _HOW = (frozenset(kind) for kind in (FailureKind, Phase, How))


def is_failure(told: Json) -> bool:
    """Whether an entry tells a failure, of a kind and in a phase that are known here."""
    facts = told.get("_failure")
    if not isinstance(facts, dict):
        return False
    kind, phase = facts.get("kind"), facts.get("phase")
    return isinstance(kind, str) and kind in _KINDS and isinstance(phase, str) and phase in _PHASES


def failure(told: Json) -> Failure:
    """The failure that an entry tells. The entry is completed in place."""
    entry = complete(told)
    facts = _typed(entry["_failure"])
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
    how, side = facts["how"], _SIDES.get(facts["by"] or "")
    ending = Ending(side, How(how), time, text_of(facts, "detail")) if how else None
    return Failure(
        kind, Phase(facts["phase"]), started, time, facts["why"], process, pid, connection, answer, ending,
        text_of(facts, "seen"), max(int_of(facts, "bytes", 0), 0), text_of(facts, "version"), entry,
    )  # fmt: skip


def _typed(facts: Json) -> Json:
    """The facts, each of the type that it has (complete.py); in place. What nobody here knows is left as it is."""
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
    return facts


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
            made.number,
            0,
            0,
            0,
            text_of(tls, "version"),
            text_of(tls, "cipher"),
            sni,
            text_of(tls, "alpn"),
            False,
            "",
            b"",
        )
    return made
