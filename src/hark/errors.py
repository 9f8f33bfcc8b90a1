"""What a person sees when something cannot be done: what, why, what to do about it, and the exit status.

May hold: HarkError, its subclasses, and findings of what works here. May not hold: anything that formats a traceback.
"""


class HarkError(Exception):
    """A failure in one line.

    what: the thing that could not be done, as a clause ("cannot read trace.pcapng").
    why: the reason, as the system or the format gives it.
    remedy: what the person can do, a command where there is one; may be empty.
    status: the exit status that it leads to, by its class; docs/command-line.md lists them.
    """

    status = 1

    def __init__(self, what: str, why: str = "", remedy: str = "", status: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy
        if status:  # it comes from another process
            self.status = status

    def __str__(self) -> str:
        line = self.what
        if self.why:
            line += f": {self.why}"
        if self.remedy:
            line += f" ({self.remedy})"
        return line


class UsageError(HarkError):
    """The command line cannot be understood, or asks for what does not go together."""

    status = 2


class NotExecutable(HarkError):
    """The command is there and cannot be run. The status is that of a shell."""

    status = 126


class NotFound(HarkError):
    """There is no such command. The status is that of a shell."""

    status = 127


class Finding:
    """Whether one capability is there, as a tap or a key source finds it: for `hark doctor`, and for the line at the
    start of a run that does without it.

    why: the reason why it is missing; "" where it is there.
    fix: a command; "" where nobody knows one.
    effect: what a run lacks without it, as a clause; "" where there is no run without it."""

    __slots__ = ("effect", "fix", "name", "why")

    def __init__(self, name: str, why: str = "", fix: str = "", effect: str = "") -> None:
        self.name = name
        self.why = why
        self.fix = fix
        self.effect = effect

    @property
    def text(self) -> str:
        """What is missing and why, without the fix: "Node is not decrypted: its hook is missing"; "" where nothing
        is."""
        return f"{self.effect}: {self.why}" if self.effect else self.why

    def because(self, reason: str) -> "Finding":
        """The same with one more reason, as the system gave it."""
        return Finding(self.name, f"{self.why}: {reason}", self.fix, self.effect) if reason and self.why else self
