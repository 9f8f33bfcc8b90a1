"""Which key sources a run uses, and what each "no" costs.

May hold: the table of key sources, and pure choices by facts that somebody else has found. Nothing else names a source.
"""

from collections.abc import Callable

from hark.keys import keylogfile, node, openssl
from hark.keys.keylogfile import Named
from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.tap.source import KeySource
    from hark.tap.tun.decisions import Decisions


class Facts(Record):
    """What is there before the run."""

    agent: str  # the compiled agent's file; "" where it was not compiled
    hook: str  # the file that Node loads; "" where it is missing
    keylog: Named  # what the user has set SSLKEYLOGFILE to


class Missing(Record):
    """A capability that this run has not: what that means for the user, why, and what brings it."""

    effect: str
    why: str
    remedy: str


class Plan:
    """What a run uses. decisions: about traffic; None: everything passes."""

    def __init__(
        self,
        keys: "tuple[KeySource, ...]",
        missing: tuple[Missing, ...],
        decisions: "Decisions | None" = None,
    ) -> None:
        self.keys = keys
        self.missing = missing
        self.decisions = decisions


# In the order in which they are asked for a connection's secrets. A new key source is one line here, and its file.
SOURCES: "tuple[Callable[[Facts], KeySource], ...]" = (
    lambda facts: openssl.Agent(facts.agent),
    lambda facts: keylogfile.PrivateLog(),
    lambda facts: node.Hook(facts.hook),
    lambda facts: keylogfile.UserLog(facts.keylog),
)


def plan(facts: Facts) -> Plan:
    """The plan for a run."""
    missing = []
    if not facts.agent:
        missing.append(
            Missing(
                "most OpenSSL programs are not decrypted",
                "the preloaded agent was not compiled when hark was installed",
                "sudo apt install gcc libc6-dev && pip install --force-reinstall hark",
            )
        )
    if not facts.hook:
        missing.append(Missing("Node is not decrypted", "its hook is missing", "pip install --force-reinstall hark"))
    return Plan(tuple(make(facts) for make in SOURCES), tuple(missing))
