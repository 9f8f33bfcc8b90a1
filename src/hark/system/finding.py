"""Whether one capability is there, as a tap or a key source finds it: for `hark doctor`, and for the line at the start
of a run that does without it.

May hold: the value. May not hold: what any tap or key source finds.
"""

from hark.system.record import Record


class Finding(Record):
    """One capability. Where it is missing, `why` is a reason, and `fix` a command or "" if nobody knows one."""

    name: str
    why: str = ""  # "" where it is there
    fix: str = ""
    effect: str = ""  # what a run lacks without it; "" where there is no run without it

    @property
    def good(self) -> bool:
        """Whether it is there."""
        return not self.why

    @property
    def vital(self) -> bool:
        """Whether no run is possible without it. Of one that is missing."""
        return not self.effect

    @property
    def text(self) -> str:
        """What is missing and why, without the fix: "Node is not decrypted: its hook is missing"."""
        return f"{self.effect}: {self.why}" if self.effect else self.why
