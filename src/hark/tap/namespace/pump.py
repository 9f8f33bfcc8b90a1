"""The one loop of the tapper: TUN packets, relayed connections, datagrams, key sources, the end of the program.

What   Every packet that the program sends or gets passes here once. It is read straight into the ring, rewritten by
       the NAT plane and written back; what the program sees is what is recorded.
Why    One thread, one epoll, no queue between capture and relay: nothing to overtake, 20 microseconds a packet.
SYN    A connection attempt is held until the real connect is decided: connected, then the SYN goes on to our
       listener; refused, a reset; unreachable, the ICMP error; timed out, silence. So connect() fails as it would.
Stall  When the ring is full (the view is 32 MiB behind) the TUN is left unread until there is room: TCP in the
       namespace then slows the program down, and no byte is lost.
End    When the program has exited and its tree is gone, bytes on their way out are let out, then the loop ends. When
       hark's first process is gone, killed, the tree is ended too: its network lives here.
"""

import contextlib
import errno
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from hark.recording import pcapng
from hark.recording.ring import Writer
from hark.tap import tree
from hark.tap.loop import IN, OUT, Loop
from hark.tap.namespace import setup, udp
from hark.tap.namespace.nat import Address, Flow, Nat, ends
from hark.tap.namespace.netlink import Diag
from hark.tap.namespace.owners import Owners
from hark.tap.namespace.relay import Relay
from hark.tap.recorder import Recorder
from hark.wire import ip

_BATCH = 64  # packets read before the other descriptors get their turn
_VNET = 10  # bytes of the virtio header in front of every TUN packet
_FORGET = 4.0  # s that a closed flow's last packets still find their way
_LOCAL_FLOWS = 4096  # UDP pairs inside the namespace that are remembered
_LOOK_MAX = 0.3  # s between looks whether what the program left running has ended
_DRAIN = 3.0  # s without any event after which the end waits for nobody
_KILL, _DETACH, _EXITED = b"kdx"
_get16 = struct.Struct("!H").unpack_from
_put16 = struct.Struct("!H").pack_into


class KeySource(Protocol):
    """What the pump needs of a key source: something to wait for, and key log lines with who gave them."""

    def fileno(self) -> int:
        """The descriptor to wait on."""

    def read(self) -> list[tuple[bytes, int, str]]:
        """(lines, pid or 0, the source's name) of all that has come."""


class Pump:
    """Runs the namespace's traffic. `files` are setup.ENDS' descriptors; `control` is the socket to hark's first
    process."""

    def __init__(
        self, files: dict[str, int], writer: Writer, wake: int, control: socket.socket, keys: Sequence[KeySource]
    ) -> None:
        self._tun = files["tun"]
        self._writer = writer
        self._wake = wake
        self._rec = Recorder(writer)
        self._loop = Loop()
        self._nat = Nat(setup.HERE4, setup.HERE6, setup.LISTEN_PORT)
        self._network = os.readlink(f"/proc/self/fd/{files['network']}")
        diag = Diag(socket.socket(fileno=files["diag"]))
        self._owners = Owners(diag, self._network, self._rec.process)
        self._control = control
        self._keys = keys
        self._vnet = bytearray(_VNET)
        self._relays: set[Relay] = set()
        self._doomed: list[Relay] = []
        self._closing: deque[tuple[float, Flow]] = deque()
        self._datagrams: dict[tuple[int, bytes], udp.Udp | udp.Echo] = {}
        self._local_udp: dict[bytes, None] = {}
        self._fragments = udp.Fragments()
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._stalled = False
        self._exited = False  # the program has
        self._detached = False
        self._killed = False
        self._swept = 0.0
        self._patience = 0.01  # s between looks whether the tree is gone
        self._look = 0.0  # when to look again
        self._loop.add(self._tun, IN, self._on_tun)
        self._loop.add(wake, IN, self._on_room)
        self._loop.add(control.fileno(), IN, self._on_control)
        for name in ("listener4", "listener6"):
            if files[name] >= 0:
                listener = socket.socket(fileno=files[name])
                self._loop.add(files[name], IN, self._accepter(listener))
        self._lo = socket.socket(fileno=files["loopback"]) if files["loopback"] >= 0 else None
        if self._lo is not None:
            self._loop.add(files["loopback"], IN, self._on_lo)
        for source in keys:
            self._loop.add(source.fileno(), IN, self._key_reader(source))

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the tree is gone."""
        quiet_since = time.monotonic()
        while True:
            wait = 0.01 if self._doomed else self._patience if self._exited else 0.0 if self._owners.curious else 1.0
            if self._loop.once(wait):
                quiet_since = time.monotonic()
            elif self._owners.curious:
                self._owners.idle()
            now = time.monotonic()
            if self._doomed:
                self._doomed = [relay for relay in self._doomed if not relay.overdue(now)]
            while self._closing and self._closing[0][0] <= now:
                self._nat.close(self._closing.popleft()[1])
            if now - self._swept > 5:
                self._sweep(now)
            if self._exited and self._over(now - quiet_since):
                break
        for source in self._keys:
            self._read_keys(source)
        self._owners.last()
        self._rec.close()

    def _over(self, quiet: float) -> bool:
        """Whether the tree is gone and nothing is on its way out any more."""
        now = time.monotonic()
        if now < self._look:
            return False
        if tree.members(self._network):
            if self._killed:
                tree.end(self._network)
            else:  # orphans may live for days: look less and less often
                self._patience = min(self._patience * 1.2, _LOOK_MAX)
            self._look = now + self._patience
            return False
        if self._killed:
            return True
        settled = all(relay.settled() for relay in self._relays)
        return (settled and quiet > 0.005) or quiet > _DRAIN

    def _sweep(self, now: float) -> None:
        self._swept = now
        for key, flow in list(self._datagrams.items()):
            if now - flow.used > udp.IDLE:
                self._end_datagrams(key)

    def _on_control(self, event: int) -> None:
        try:
            said = self._control.recv(1)
        except OSError:
            said = b""
        if said == bytes([_EXITED]):
            self._exited = True
        elif said == bytes([_DETACH]):
            self._detached = True
        elif said == bytes([_KILL]) or (not said and not self._detached):
            self._killed = self._exited = True
            tree.end(self._network)
        if not said:
            self._exited = True
            self._loop.remove(self._control.fileno())

    def _key_reader(self, source: KeySource) -> Callable[[int], None]:
        return lambda event: self._read_keys(source)

    def _read_keys(self, source: KeySource) -> None:
        for text, pid, name in source.read():
            self._rec.secrets(text, pid, name)

    # -- packets from the TUN ----------------------------------------------------------------------------------------

    def _on_room(self, event: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        if self._stalled and self._rec.catch_up() and self._writer.room():
            self._stalled = False
            self._loop.change(self._tun, IN)
            if self._lo is not None:
                self._loop.change(self._lo.fileno(), IN)

    def _stall(self) -> None:
        self._stalled = True
        self._loop.change(self._tun, 0)
        if self._lo is not None:
            self._loop.change(self._lo.fileno(), 0)

    def _on_tun(self, event: int) -> None:
        """The hot path. Offsets are those of an IPv4 header without options, or of an IPv6 header without
        extensions, with TCP behind it; all else takes the slow path."""
        writer, vnet, tun = self._writer, self._vnet, self._tun
        data, turns = writer.data, self._nat.turns
        for _ in range(_BATCH):
            if not self._rec.catch_up() or not writer.room():
                self._stall()
                return
            at = writer.at
            start = at + pcapng.EPB_HEAD
            try:
                size = os.readv(tun, (vnet, data[start : start + 65536])) - _VNET
            except BlockingIOError:
                return
            first = data[start]
            if first == 0x45 and data[start + 9] == ip.TCP:
                head, low, high = 20, 12, 24
            elif first >> 4 == 6 and data[start + 6] == ip.TCP:
                head, low, high = 40, 8, 44
            else:
                self._slow(bytes(data[start : start + size]))
                continue
            turn = turns.get(bytes(data[start + low : start + high]))
            flags = data[start + head + 13]
            if turn is None or flags & 0x12 == ip.SYN:
                self._slow(bytes(data[start : start + size]))
                continue
            if not turn.ends:
                parts: tuple[bytearray | memoryview, ...] = (vnet, data[start : start + size])
            elif turn.inward:
                _rewrite(
                    data, start, head, low, high, turn.ends, turn.ip_sum, vnet[0] & 1, turn.partial_sum, turn.whole_sum
                )
                parts = (vnet, data[start : start + size])
            else:
                top = head + 20
                copy = bytearray(data[start : start + top])
                _rewrite(
                    copy, 0, head, low, high, turn.ends, turn.ip_sum, vnet[0] & 1, turn.partial_sum, turn.whole_sum
                )
                parts = (vnet, copy, data[start + top : start + size])
            try:
                os.writev(tun, parts)
            except OSError as error:
                self._rec.loss("packet", 1, f"writing to the TUN: {error.strerror}")
                continue
            writer.commit(pcapng.end_frame(data, at, size, time.time_ns(), 0))
            if flags & (ip.FIN | ip.RST) and turn.flow.local:
                self._local_end(turn.flow, flags, turn.inward)

    def _local_end(self, flow: Flow, flags: int, inward: bool) -> None:
        """A flow inside the namespace is forgotten after its reset or its second FIN."""
        flow.seq |= 2 if inward else 1
        if flags & ip.RST or flow.seq == 3:
            self._closing.append((time.monotonic() + _FORGET, flow))

    def _inject(self, packet: bytes, vnet: bytes = bytes(_VNET)) -> None:
        """Hand the program a packet of our making."""
        try:
            os.writev(self._tun, (vnet, packet))
        except OSError as error:
            self._rec.loss("packet", 1, f"writing to the TUN: {error.strerror}")

    def _slow(self, data: bytes) -> None:
        packet = ip.parse(data)
        if packet is None:
            return
        if packet.fragment is not None:
            whole = self._fragments.feed(packet, memoryview(data))
            packet = ip.parse(whole) if whole else None
            if packet is None or whole is None:
                return
            data = whole
        if packet.proto == ip.TCP:
            self._tcp(packet, data)
        elif packet.proto == ip.UDP:
            self._udp(packet, data)
        elif packet.proto in (ip.ICMP, ip.ICMPV6):
            self._icmp(packet, data)

    # -- TCP ---------------------------------------------------------------------------------------------------------

    def _tcp(self, packet: ip.Packet, data: bytes) -> None:
        segment = ip.tcp(data, packet.start, packet.end)
        if segment is None:
            return
        client, server = (packet.src, segment.sport), (packet.dst, segment.dport)
        if segment.flags & (ip.SYN | ip.ACK) != ip.SYN:
            if segment.sport == setup.LISTEN_PORT and client[0] in (setup.HERE4, setup.HERE6):
                return  # our own listener's last words about a flow that is closed
            # A stranger: a flow of which we know nothing, as a host that has crashed and come back would see it.
            self._rec.frame(data)
            if not segment.flags & ip.RST:
                self._refuse(client, server, segment.ack, segment.seq)
            return
        turn = self._nat.turns.get(ends(client, server))
        if turn is not None:
            flow = turn.flow
            if flow.seq == segment.seq and not flow.local and flow.syn:
                self._rec.frame(data, flow.pid)  # sent again while the answer is still out
                return
            if isinstance(flow.relay, Relay):
                flow.relay.reset(flow.relay.program)
            self._nat.close(flow)
        self._syn(client, server, segment.seq, data)

    def _syn(self, client: Address, server: Address, seq: int, data: bytes) -> None:
        pid = self._owners.find(ip.TCP, client, server, time.time_ns())
        self._rec.frame(data, pid)
        local = server[0][0] == 127 and len(server[0]) == 4 and self._owners.listens(ip.TCP, server, client)
        flow = self._nat.open(client, server, local)
        flow.pid = pid
        if local:
            self._inject(data, bytes(self._vnet))
            return
        flow.seq, flow.syn = seq, bytes(self._vnet) + data
        target = udp.host_address(server[0])
        targets = [target, "::1"] if target.startswith("127.") else [target]
        self._connect(flow, targets)

    def _connect(self, flow: Flow, targets: list[str]) -> None:
        """Try the next upstream address; a connected socket releases the held SYN."""
        target, rest = targets[0], targets[1:]
        try:
            family = socket.AF_INET6 if ":" in target else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._rec.loss("connection", 1, f"{error.strerror}: raise the limit (ulimit -Hn)")
            self._failed(flow, errno.ECONNREFUSED)
            return
        number = sock.connect_ex((target, flow.server[1]))
        if number == errno.EINPROGRESS:
            # On loopback the handshake is over by now, which saves a round of the loop.
            with contextlib.suppress(OSError):
                sock.getpeername()
                number = 0
        if number == errno.EINPROGRESS:
            self._loop.add(sock.fileno(), OUT, lambda event: self._connected(flow, sock, rest))
        else:
            self._decided(flow, sock, number, rest)

    def _connected(self, flow: Flow, sock: socket.socket, rest: list[str]) -> None:
        self._loop.remove(sock.fileno())
        self._decided(flow, sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), rest)

    def _decided(self, flow: Flow, sock: socket.socket, number: int, rest: list[str]) -> None:
        if number:
            sock.close()
            if rest:
                self._connect(flow, rest)
            else:
                # The address that the program asked for has the say, not the fall-back.
                self._failed(flow, errno.ECONNREFUSED if flow.server[0][0] == 127 else number)
            return
        flow.relay = sock
        syn = flow.syn
        turn = self._nat.turns.get(flow.key)
        if turn is None or turn.flow is not flow:
            sock.close()  # the program has given up and begun anew on the same port
            return
        vnet, copy = syn[:_VNET], bytearray(syn[_VNET:])
        head, low, high = (20, 12, 24) if copy[0] >> 4 == 4 else (40, 8, 44)
        _rewrite(copy, 0, head, low, high, turn.ends, turn.ip_sum, vnet[0] & 1, turn.partial_sum, turn.whole_sum)
        self._inject(bytes(copy), vnet)

    def _failed(self, flow: Flow, number: int) -> None:
        """Tell the program what the real connect has met."""
        if number == errno.ETIMEDOUT:
            return  # silence: the flow stays, so that its further SYNs are swallowed
        packet = flow.syn[_VNET:]
        self._nat.close(flow)
        if number == errno.ECONNREFUSED or errno.errorcode.get(number, "") not in ip.UNREACHABLE:
            self._refuse(flow.client, flow.server, 0, flow.seq + 1)
            return
        self._answer(ip.unreachable(_router(flow.server[0]), packet, errno.errorcode[number]))

    def _refuse(self, client: Address, server: Address, seq: int, ack: int) -> None:
        reset = ip.rst_packet(server[0], client[0], server[1], client[1], seq, ack & 0xFFFFFFFF)
        self._rec.frame(reset)
        self._inject(reset)

    def _accepter(self, listener: socket.socket) -> Callable[[int], None]:
        six = listener.family == socket.AF_INET6

        def accept(event: int) -> None:
            for _ in range(_BATCH):
                try:
                    program, peer = listener.accept()
                except BlockingIOError:
                    return
                except OSError as error:
                    self._turn_away(listener, error)
                    return
                packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, peer[0])
                self._start(program, self._nat.accepted((packed, peer[1])))

        return accept

    def _turn_away(self, listener: socket.socket, error: OSError) -> None:
        """No descriptor is left: take the spare one to end the connection, which would wait and wake us for ever."""
        self._rec.loss("connection", 1, f"{error.strerror}: raise the limit (ulimit -Hn)")
        os.close(self._spare)
        with contextlib.suppress(OSError):  # it may have gone by itself
            listener.accept()[0].close()
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def _start(self, program: socket.socket, flow: Flow | None) -> None:
        server = flow.relay if flow is not None else None
        if flow is None or not isinstance(server, socket.socket):
            program.close()  # its flow has ended in the meantime
            return
        program.setblocking(False)
        flow.syn = b""

        def done(relay: Relay) -> None:
            self._relays.discard(relay)
            self._closing.append((time.monotonic() + _FORGET, flow))

        try:
            relay = Relay(self._loop, program, server, done)
        except OSError:
            program.close()  # reset before it began
            server.close()
            self._closing.append((time.monotonic() + _FORGET, flow))
            return
        flow.relay = relay
        self._relays.add(relay)

    # -- datagrams ---------------------------------------------------------------------------------------------------

    def _udp(self, packet: ip.Packet, data: bytes) -> None:
        if packet.end - packet.start < 8:
            return
        sport, dport = struct.unpack_from("!HH", data, packet.start)
        client, server = (packet.src, sport), (packet.dst, dport)
        key = ends(client, server)
        if key in self._local_udp or self._is_local_udp(client, server, key):
            self._rec.frame(data)
            self._inject(data, bytes(self._vnet))
            return
        flow = self._datagrams.get((ip.UDP, key))
        if flow is None:
            self._make_room()
            try:
                flow = udp.Udp(client, server, udp.host_address(server[0]))
            except OSError as error:
                self._rec.frame(data)
                self._answer(ip.unreachable(_router(packet.dst), data, errno.errorcode.get(error.errno or 0, "")))
                return
            flow.pid = self._owners.find(ip.UDP, client, server, time.time_ns())
            self._watch(ip.UDP, key, flow)
        self._rec.frame(data, flow.pid)
        self._send(flow, packet, data, data[packet.start + 8 : packet.end])

    def _is_local_udp(self, client: Address, server: Address, key: bytes) -> bool:
        """Whether the datagram goes to a process of the tree itself; remembered, with its answers."""
        if len(server[0]) == 16 or server[0][0] != 127 or not self._owners.listens(ip.UDP, server, client):
            return False
        for pair in (key, ends(server, client)):
            self._local_udp[pair] = None
        while len(self._local_udp) > _LOCAL_FLOWS:
            del self._local_udp[next(iter(self._local_udp))]
        return True

    def _icmp(self, packet: ip.Packet, data: bytes) -> None:
        request = udp.echo_request(packet, memoryview(data))
        if request is None:
            return
        ident, message = request
        client, server = (packet.src, ident), (packet.dst, 0)
        key = ends(client, server)
        flow = self._datagrams.get((packet.proto, key))
        self._rec.frame(data)
        if flow is None:
            self._make_room()
            try:
                flow = udp.Echo(client, server, udp.host_address(server[0]))
            except OSError as error:
                self._answer(ip.unreachable(_router(packet.dst), data, errno.errorcode.get(error.errno or 0, "")))
                return
            self._watch(packet.proto, key, flow)
        self._send(flow, packet, data, bytes(message))

    def _watch(self, proto: int, key: bytes, flow: udp.Udp | udp.Echo) -> None:
        self._datagrams[proto, key] = flow
        router = _router(flow.server[0])

        def receive(event: int) -> None:
            for _ in range(_BATCH):
                if self._stalled:
                    return
                packet = flow.receive(router)
                if packet is None:
                    return
                flow.used = time.monotonic()
                self._answer(packet)

        self._loop.add(flow.fileno(), IN, receive)

    def _send(self, flow: udp.Udp | udp.Echo, packet: ip.Packet, data: bytes, payload: bytes) -> None:
        flow.used = time.monotonic()
        flow.last = data
        answer = flow.send(payload, _router(packet.dst))
        if answer is not None:
            self._answer(answer)

    def _answer(self, packet: bytes) -> None:
        self._rec.frame(packet)
        self._inject(packet)

    def _make_room(self) -> None:
        if len(self._datagrams) >= udp.MOST:
            self._end_datagrams(min(self._datagrams, key=lambda key: self._datagrams[key].used))

    def _end_datagrams(self, key: tuple[int, bytes]) -> None:
        flow = self._datagrams.pop(key)
        self._loop.remove(flow.fileno())
        flow.close()

    # -- loopback ----------------------------------------------------------------------------------------------------

    def _on_lo(self, event: int) -> None:
        """Packets between processes of the tree that the kernel keeps on lo (::1): heard, not carried."""
        assert self._lo is not None
        for _ in range(_BATCH):
            if not self._rec.catch_up() or not self._writer.room():
                self._stall()
                return
            try:
                data = self._lo.recv(65600)
            except BlockingIOError:
                return
            packet = ip.parse(data)
            pid = 0
            if packet is not None and packet.proto == ip.TCP:
                segment = ip.tcp(data, packet.start, packet.end)
                if segment is not None and segment.flags & (ip.SYN | ip.ACK) == ip.SYN:
                    ends_of = (packet.src, segment.sport), (packet.dst, segment.dport)
                    pid = self._owners.find(ip.TCP, *ends_of, time.time_ns())
            self._rec.frame(data, pid)


def _router(target: bytes) -> bytes:
    """The address from which our ICMP errors about a target come."""
    return (setup.HERE6 if len(target) == 16 else setup.HERE4)[:-1] + b"\xfe"


def _rewrite(
    data: bytearray | memoryview,
    start: int,
    head: int,
    low: int,
    high: int,
    new: bytes,
    ip_sum: int,
    partial: int,
    partial_sum: int,
    whole_sum: int,
) -> None:
    """Put new ends into a packet and mend its checksums (RFC 1624)."""
    data[start + low : start + high] = new
    if head == 20:
        total = (~_get16(data, start + 10)[0] & 0xFFFF) + ip_sum
        _put16(data, start + 10, ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    at = start + head + 16
    old = _get16(data, at)[0]
    if partial:  # the device would finish it: only the pseudo header is in there, not complemented
        total = old + partial_sum
        total = (total & 0xFFFF) + (total >> 16)
    else:
        total = (~old & 0xFFFF) + whole_sum
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    _put16(data, at, total)
