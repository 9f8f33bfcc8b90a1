"""Bytes put aside: a file without a name, which is gone with the process.

May hold: writing at the end, reading back. May not hold: what the bytes mean.
"""

import os
import tempfile

Place = tuple[int, int]  # offset, size


class Spool:
    """Takes bytes, gives them back by their place. Raises OSError where the disk does not take them."""

    def __init__(self) -> None:
        # /tmp is memory on many systems, and this is here to spare it.
        disk = next(
            (place for place in (os.environ.get("TMPDIR"), "/var/tmp") if place and os.access(place, os.W_OK)), None
        )
        self._file = tempfile.TemporaryFile(prefix="hark-", buffering=0, dir=disk)
        self._end = 0

    def write(self, data: bytes) -> Place:
        """Put aside; where it is."""
        at = self._end
        view = memoryview(data)
        while view:
            count = os.pwrite(self._file.fileno(), view, self._end)
            view, self._end = view[count:], self._end + count
        return at, len(data)

    def read(self, place: Place) -> bytes:
        """What was put aside there."""
        at, size = place
        pieces = []
        while size > 0:
            piece = os.pread(self._file.fileno(), size, at)
            if not piece:
                break
            pieces.append(piece)
            at, size = at + len(piece), size - len(piece)
        return b"".join(pieces)
