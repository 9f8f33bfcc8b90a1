"""What one direction of a TLS connection consists of: records, and what is in the place of some.

May hold: values and what they count. May not hold: decryption.
"""

from typing import NamedTuple

from hark.decode.endings import How, Side
from hark.wire import tls


class Gap(NamedTuple):
    """Bytes of one direction that were not captured."""

    size: int


class AfterGap(NamedTuple):
    """Bytes after a gap: it is unknown where in them a record begins."""

    data: bytes


class End(NamedTuple):
    """The transport has ended in this direction."""

    how: How


Item = bytes | memoryview | Gap | AfterGap | End  # a record, or what is in the place of some
ParkedItem = tuple[Side, int, Item]  # sender, time, item


def parked_bytes(item: Item) -> int:
    """Bytes that an item takes while it is parked."""
    return 0 if isinstance(item, Gap | End) else len(item.data) if type(item) is AfterGap else len(item)


def encrypted_bytes(item: Item) -> int:
    """Bytes of application data in an item, as far as they are known."""
    if type(item) is Gap:
        return item.size
    if type(item) is AfterGap:
        return len(item.data)
    if type(item) is End:
        return 0
    return len(item) - 5 if item[0] == tls.APPDATA else 0
