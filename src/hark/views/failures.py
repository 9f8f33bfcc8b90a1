"""A failure in words and as JSON: the same for the terminal, exports, DevTools, watchers and the Python API.

What   what(failure) names the thing, failure.why says what happened to it, entry(failure) is its HAR entry.
"""

from hark.decode.endings import Phase
from hark.model.failure import Failure, FailureKind


def what(failure: Failure) -> str:
    """The thing that failed: "dns NAME", "connect ADDRESS:PORT", "tls HOST:PORT"."""
    if failure.answer is not None:
        return f"dns {failure.answer.name}"
    connection = failure.connection
    assert connection is not None
    if failure.kind is FailureKind.ENCRYPTED:
        return f"closed {failure.host}:{failure.port}"
    if connection.tls is not None and failure.phase is not Phase.CONNECT:
        return f"tls {failure.host}:{failure.port}"
    address, port = connection.server
    return f"connect {f'[{address}]' if ':' in address else address}:{port}"


def line(failure: Failure) -> str:
    """One line without layout."""
    return f"{what(failure)} {failure.why}"
