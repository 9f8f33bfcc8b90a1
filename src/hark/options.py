"""What a person chose: filled by the command line or the Python API, read by the session.

May hold: values. May not hold: parsing, defaults that depend on the machine.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Options:
    """What a person chose."""

    command: list[str] = field(default_factory=list)
    verbosity: int = 0
    quiet: bool = False
    json: bool = False
    outputs: list[str] = field(default_factory=list)
    keep: int = 1 << 20  # bytes of each body kept for structured output and -vv
    detach: bool = False
    keys: list[str] = field(default_factory=list)
