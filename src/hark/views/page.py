"""One HTML page with every exchange in it, to be sent to a colleague: -o x.html.

What   page.html, which holds the whole viewer, followed by a script element of JSON for each entry. Nothing is loaded
       from anywhere, and the page's own policy forbids it.
Why    Appending keeps the file whole at every moment: HTML needs no end.
Safe   Inside the data every "<" is written as an escape, so no byte of a peer can end the element that it stands in;
       the viewer shows it as text only.
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
        """One more entry."""
        self._pieces += (_BEGIN, entry.replace(b"<", b"\\u003c"), _END)

    def flush(self) -> None:
        """Write what was gathered."""
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self._write(b"".join(pieces))

    def end(self) -> int:
        """Write what was gathered."""
        self.flush()
        return 0


def sink(file: File, version: str) -> Sink:
    """-o x.html."""
    return Page(file.write)
