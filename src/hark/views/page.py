"""One HTML page with every exchange in it, to be sent to a colleague: -o x.html.

What   page.html, which is the viewer, followed by a script element with JSON for each entry. The page loads nothing,
       and its content security policy forbids it.
Why    HTML needs no end, so that the file is valid after every append.
Safe   In the data every "<" is escaped, so that no byte of a peer can end its element; the viewer shows data as text.
"""

import os
from collections.abc import Callable

from hark.views.entries import File, Sink

_BEGIN, _END = b'<script type="application/json" class="entry">', b"</script>\n"
_TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.html")


class Page:
    """A sink."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._pieces: list[bytes] = []
        with open(_TEMPLATE, "rb") as file:
            write(file.read())

    def add(self, entry: bytes) -> None:
        """Take an entry."""
        self._pieces += (_BEGIN, entry.replace(b"<", b"\\u003c"), _END)

    def flush(self) -> None:
        """Write the batch."""
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self._write(b"".join(pieces))

    def end(self) -> int:
        """Write the batch."""
        self.flush()
        return 0


def sink(file: File, version: str) -> Sink:
    """-o x.html."""
    return Page(file.write)
