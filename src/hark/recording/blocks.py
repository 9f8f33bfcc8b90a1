"""The values that a recording holds. Times are nanoseconds since the epoch.

May hold: frozen values. May not hold: bytes layout (pcapng.py, parser.py), meaning of frames (decode).
Named tuples: frames come by the tens of thousands a second, and dataclasses cost 12 ms of every start.
"""

from __future__ import annotations

from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# Link types (the pcap registry's LINKTYPE_ numbers) that a frame's bytes may start with.
RAW: Final = 101
ETHERNET: Final = 1
NULL: Final = 0
LOOP: Final = 108
SLL: Final = 113
SLL2: Final = 276
IPV4: Final = 228
IPV6: Final = 229
UPPER_PDU: Final = 252


class Frame(Record):
    """One packet as it was seen; data is a view that lives only until the next block is asked for."""

    time: int
    link: int
    data: memoryview
    pid: int  # process that owns the packet's connection; 0: not known here
    size: int  # bytes the packet had, of which data may hold fewer
    inside: str = ""  # the plaintext of a TLS connection, made into packets: how it was had (plaintext.py)


class Secrets(Record):
    """TLS secrets in key log format, from the process `pid` (0: not known) by the key source named."""

    text: bytes
    pid: int = 0
    source: str = ""


class Process(Record):
    """A process as it was at `time`; start is when it began. tls names the TLS libraries found in it."""

    time: int
    pid: int
    name: str
    exe: str = ""
    cmdline: tuple[str, ...] = ()
    ppid: int = 0
    uid: int = -1
    start: int = 0
    tls: tuple[str, ...] = ()


class Loss(Record):
    """Something could not be recorded: what was lost, how much of it, why."""

    time: int
    what: str
    amount: int
    why: str


class Interface(Record):
    """The frames of interface `number` hold the plaintext of TLS connections: `inside` says how it was had."""

    number: int
    inside: str


# The kind of a note that says that a connection is one of Unix sockets. Its fields "client" and "server" are the paths
# that they are bound to, "@" in front of an abstract name, "" for one without; the note's ends are made up.
UNIX: Final = "unix"


class Note(Record):
    """What packets cannot say of a TCP connection: why it was passed, refused or routed, where it really went."""

    time: int
    ends: bytes  # client's address, server's, client's port, server's: as the client's segments have them
    kind: str
    fields: tuple[tuple[str, str], ...] = ()


class Names(Record):
    """Addresses (text form) with a name, as whoever recorded knew them."""

    entries: tuple[tuple[str, str], ...]


class Entry(Record):
    """An exchange from an archive: one entry of a HAR file or one line of JSON lines, as parsed JSON."""

    told: dict[str, Any]


class Torn(Record):
    """The input is damaged: place (a byte offset), what is wrong. It is reported, and reading goes on where that is
    possible."""

    offset: int
    what: str


Block = Frame | Secrets | Process | Loss | Interface | Note | Names | Entry | Torn
