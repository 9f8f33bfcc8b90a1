"""Which packets of a recording belong to the exchanges that filters choose: for a pcapng of those alone.

What   The recording is decoded once to learn the connections of what is chosen, and read again to write their packets,
       the secrets that decrypt them, the processes that made them, and the look-ups that led to them.
Why    Filters choose exchanges, which are known behind their packets. So it is done where a recording can be read
       twice, and not for a run, whose packets are written as they come.
Limits What shares a connection with something chosen is written with it. A connection inside a stream of another (a
       tunnel in HTTP/2 or 3) is not found by its packets.
"""

import struct

from hark.decode import limits, tunnels
from hark.decode.tcp_connection import sockets
from hark.model.changes import Change, Ended, Failed, OtherProtocol
from hark.model.exchange import Connection
from hark.recording import pcapng
from hark.recording.blocks import RAW, UNIX, Block, Frame, Names, Note, Process, Secrets
from hark.recording.order import Item
from hark.views.view import View
from hark.wire import ip, keylog, unixsocket

_End = tuple[bytes, int]


class Flows(View):
    """A view that learns connections; then a test of blocks."""

    def __init__(self) -> None:
        self._pairs: set[frozenset[_End]] = set()
        self._hosts: set[frozenset[bytes]] = set()
        self._addresses: set[str] = set()
        self._randoms: set[bytes] = set()
        self._sockets: set[tuple[tuple[str, int], tuple[str, int]]] = set()  # connections of Unix sockets
        self._times: set[int] = set()  # of look-ups
        self._pids: set[int] = set()

    def change(self, change: Change) -> None:
        """Learn from it."""
        if isinstance(change, Ended):
            self._learn(change.exchange.connection)
        elif isinstance(change, OtherProtocol):
            self._learn(change.connection)
        elif isinstance(change, Failed):
            if change.failure.connection is not None:
                self._learn(change.failure.connection)
            elif change.failure.answer is not None:
                self._times.update((change.failure.answer.asked, change.failure.answer.time))
                self._pids.add(change.failure.pid)

    def _learn(self, connection: Connection) -> None:
        (client, port), (server, to) = connection.client, connection.server
        if unixsocket.is_socket(server):
            self._sockets.add((connection.client, connection.server))
        else:
            self._know((ip.packed(client), port), (ip.packed(server), to))
        self._addresses.add(server)
        self._pids.add(connection.pid)
        self._times.update(connection.dns or ())
        if connection.tls is not None:
            self._randoms.add(connection.tls.client_random)

    def _know(self, client: _End, server: _End) -> None:
        self._pairs.add(frozenset((client, server)))
        self._hosts.add(frozenset((client[0], server[0])))

    def choose(self, block: Block, raw: bytes | memoryview) -> Item:
        """The block with what is to be written of it."""
        if isinstance(block, Frame):
            return block, raw if block.time in self._times or (block.link == RAW and self._fits(block.data)) else b""
        if isinstance(block, Secrets):
            return block, self._secrets(block)
        if isinstance(block, Process):
            return block, raw if block.pid in self._pids else b""
        if isinstance(block, Names):
            kept = tuple(entry for entry in block.entries if entry[0] in self._addresses)
            return block, pcapng.encode(Names(kept)) if kept else b""
        if isinstance(block, Note) and block.kind == UNIX:
            return block, raw if self._socket(block) else b""
        return block, raw

    def _socket(self, note: Note) -> bool:
        """Whether a connection of Unix sockets is chosen; then its made-up ends are, which come after the note."""
        if sockets(note) not in self._sockets:
            return False
        ends, width = note.ends, len(note.ends) // 2 - 2
        port, to = struct.unpack_from("!HH", ends, 2 * width)
        self._know((ends[:width], port), (ends[width : 2 * width], to))
        return True

    def _secrets(self, block: Secrets) -> bytes:
        """The lines that open something chosen (a line: label, client random, secret)."""
        kept = []
        for line in block.text.splitlines(keepends=True):
            if any(secret.client_random in self._randoms or secret.label == "RSA" for secret in keylog.parse(line)):
                kept.append(line)
        return pcapng.encode(block._replace(text=b"".join(kept))) if kept else b""

    def _fits(self, data: memoryview) -> bool:
        packet = ip.parse(data)
        for _ in range(limits.TUNNELS):
            if packet is None:
                return False
            if packet.fragment is not None:
                return frozenset((packet.src, packet.dst)) in self._hosts
            if packet.proto in (ip.TCP, ip.UDP) and packet.end - packet.start >= 4:
                source = int.from_bytes(data[packet.start : packet.start + 2], "big")
                target = int.from_bytes(data[packet.start + 2 : packet.start + 4], "big")
                if frozenset(((packet.src, source), (packet.dst, target))) in self._pairs:
                    return True
            at = tunnels.inner(data, packet.proto, packet.start, packet.end)
            if at < 0:
                return False
            packet = ip.parse(data, at, packet.end - at)
        return False
