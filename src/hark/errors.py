"""What a person sees when something cannot be done: what, why, what to do about it, and the exit status.

May hold: HarkError and its subclasses. May not hold: anything that formats a traceback.
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
