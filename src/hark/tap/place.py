"""The tree's private directory, a service of the tap: to key sources where they are built, and to itself.

What   A tmpfs over an empty directory of the installed package, in the tree's mount namespace alone. Key sources put
       there what programs load or write, the tap the table of files' owners, which the capture process writes
       (hostside.py) and the program's processes map (host.c).
Ends   With the mount namespace; nothing of it is on a disk but what the kernel swaps out.
"""

from __future__ import annotations

import os
import sys

from hark.system import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_MOUNT: Final = "mode=0755,size=256m"
# The shape of the table.
OWNERS: Final = 1 << 14  # entries
OWNERS_HEADER: Final = 64  # bytes; the number of the tree's user namespace is first
OWNERS_ENTRY: Final = 5  # words of 8 bytes: dev, ino, ctime, owner, check
OWNERS_BYTES: Final = OWNERS_HEADER + OWNERS * OWNERS_ENTRY * 8


class Place:
    """What the tap has made in the child, between fork and exec. private: the directory, which only the program's tree
    sees; "" where there is none, and `refused` says why."""

    __slots__ = ("private", "refused")

    def __init__(self, private: str, refused: OSError | None = None) -> None:
        self.private = private
        self.refused = refused


def make(private: str) -> Place:
    """Mount the directory in this process's mount namespace. private: an empty directory."""
    try:
        kernel.mount("hark", private, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, _MOUNT)
    except OSError as error:
        return Place("", error)  # key sources that need it say what is missed
    return Place(private)


def owners(place: Place) -> int:
    """A descriptor of the table of owners; -1 where it cannot be made: files keep the owners that the namespace
    shows."""
    if not place.private:
        return -1
    try:
        table = os.open(f"{place.private}/owners", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.fchmod(table, 0o644)
        os.ftruncate(table, OWNERS_BYTES)
        os.pwrite(table, os.stat("/proc/self/ns/user").st_ino.to_bytes(8, sys.byteorder), 0)
    except OSError:
        return -1
    return table
