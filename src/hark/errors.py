"""The one exception that a person sees: what went wrong, why, and what to do about it.

May hold: HarkError. May not hold: anything that formats a traceback or decides on an exit status.
"""


class HarkError(Exception):
    """A failure told in one line.

    what: the thing that could not be done, as a clause ("cannot read trace.pcapng").
    why: the reason, as the system or the format gives it.
    remedy: what the person can do, a command where there is one; may be empty.
    """

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        line = self.what
        if self.why:
            line += f": {self.why}"
        if self.remedy:
            line += f" ({self.remedy})"
        return line
