"""hark: run a command and capture every HTTP request that it makes, live and decrypted, without root.

Takes  a command line, or a recording; from Python hark.run(), hark.listen(), hark.read() (hark/api.py).
Gives  the exchanges that the command and its children made.
Never  changes what the command does; makes the command line pay for importing the Python API.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hark.api import Exchange, Failure, Headers, Live, Process, Recording, Request, Response, listen, read, run
    from hark.errors import HarkError

__version__ = "0.1.0"
__all__ = [
    "Exchange", "Failure", "HarkError", "Headers", "Live", "Process", "Recording", "Request", "Response", "__version__",
    "listen", "read", "run",
]  # fmt: skip


def __getattr__(name: str) -> "Any":
    if name in __all__:
        from hark import api

        return getattr(api, name)
    raise AttributeError(f"module 'hark' has no attribute {name!r}")
