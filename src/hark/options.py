"""What a person chose: filled by the command line or the Python API, read by the session.

May hold: values. May not hold: parsing, defaults that depend on the machine.
Why not a dataclass: that module alone costs 12 ms of every start.
"""


class Options:
    """Choices for one run or one reading."""

    def __init__(self) -> None:
        self.command: list[str] = []
        self.verbosity = 0  # 0 lines, 1 headers too, 2 bodies too
        self.quiet = False
        self.json = False
        self.descriptors: list[int] = []  # of --json=FD
        self.time = ""  # what begins a line: "day", "start", or nothing
        self.started = 0  # ns; what --time=start counts from; 0: the first thing that is shown
        self.outputs: list[str] = []  # of -o: NAME or NAME:KIND (destinations.py)
        self.keep = 1 << 20  # bytes of each body kept for structured output and -vv
        self.detach = False
        self.follow = False
        self.keys: list[str] = []  # file names of --keys
        self.protos: list[str] = []  # file names of --proto
        self.private_keys: list[str] = []  # file names of --private-key
        self.filters: dict[str, list[str]] = {}  # by the option's name without dashes: views/filters.py
        self.redact: bool | None = None  # None: what leaves the machine by its nature (HTML) is redacted, nothing else
        self.failures = True  # whether what did not become an exchange is shown
        self.curl = False
        self.summary = False
        self.waterfall = False
        self.devtools = False
        self.ui = False
        self.feed = -1  # a descriptor for the Python API (views/feed.py)
