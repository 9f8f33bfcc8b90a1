"""Which key sources a run uses, and what is missing without those that it cannot have.

May hold: the table of key sources, and pure choices by facts that somebody else has found. Nothing else names a source.
"""

from collections.abc import Callable, Mapping

from hark.keys import keylogfile, node, openssl
from hark.keys.keylogfile import Named
from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.errors import Finding
    from hark.system.program import Answer, Past, Program
    from hark.tap.source import KeySource
    from hark.tap.tun.decisions import Decisions


class Facts(Record):
    """What is there before the run."""

    agent: str  # the compiled agent's file; "" where it was not compiled
    hook: str  # the file that Node loads; "" where it is missing
    keylog: Named  # what the user has set SSLKEYLOGFILE to
    private: str  # the directory over which the tree's private file system is mounted


class Plan:
    """What a run uses. decisions: about traffic; None: everything passes. helper: what a run lacks if the helper in the
    namespaces dies, as a clause; "": there is none, because nothing needs one."""

    def __init__(
        self,
        keys: "tuple[KeySource, ...]",
        decisions: "Decisions | None" = None,
        helper: str = "",
    ) -> None:
        self.keys = keys
        self.decisions = decisions
        self.helper = helper

    def findings(
        self, files: Mapping[str, int] | None = None, failed: "Mapping[str, str] | None" = None
    ) -> "list[Finding]":
        """What each key source says of itself. files: the descriptors that were made for them; None: before anything
        was built. failed: why a source could not be built, by its name."""
        said = [(source.name, source.finding(files)) for source in self.keys]
        return [found.because((failed or {}).get(name, "")) for name, found in said if found is not None]

    def keys_of(self, program: "Program", past: "Past") -> "Answer":
        """Whether a process's session keys can be had, by what its program is, what each key source says of it, and
        what came of earlier connections of the same program file. Asks nothing of the machine."""
        from hark.system.program import combine  # not needed before the program runs

        return combine({source.name: source.covers(program) for source in self.keys}, past.of(program.file))


# In the order in which they are asked for a connection's secrets. A new key source is one line here, and its file.
SOURCES: "tuple[Callable[[Facts], KeySource], ...]" = (
    lambda facts: openssl.Agent(facts.agent),
    lambda facts: keylogfile.PrivateLog(facts.private),
    lambda facts: node.Hook(facts.hook),
    lambda facts: keylogfile.UserLog(facts.keylog),
)


def plan(facts: Facts) -> Plan:
    """The plan for a run."""
    return Plan(tuple(make(facts) for make in SOURCES))
