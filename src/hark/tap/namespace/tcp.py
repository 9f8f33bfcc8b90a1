"""TCP from the TUN: connection attempts held until the real connect is decided, and the relays that follow.

SYN    A connection attempt is held until the real connect is decided: connected, then the SYN goes on to our
       listener; refused, a reset; unreachable, the ICMP error; timed out, silence. So connect() fails as it would.
"""

import contextlib
import errno
import os
import socket
import time
from collections import deque
from collections.abc import Callable

from hark.tap.loop import IN, OUT, Loop
from hark.tap.namespace import mirror, setup, udp
from hark.tap.namespace.device import Device
from hark.tap.namespace.nat import Address, Flow, Nat, ends, rewrite
from hark.tap.namespace.owners import Owners
from hark.tap.namespace.relay import Relay
from hark.tap.namespace.tun import BATCH, VNET, Tun, router
from hark.wire import ip

_FORGET = 4.0  # s that a closed flow's last packets still find their way


class Tcp:
    """The namespace's TCP connections. `listeners` are our listeners' descriptors inside it."""

    def __init__(self, tun: Tun, loop: Loop, owners: Owners, nat: Nat, listeners: list[int]) -> None:
        self._tun = tun
        self._loop = loop
        self._owners = owners
        self._nat = nat
        self._relays: set[Relay] = set()
        self._closing: deque[tuple[float, Flow]] = deque()
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        for fd in listeners:
            loop.add(fd, IN, self._accepter(socket.socket(fileno=fd)))

    def settled(self) -> bool:
        """Whether nothing that the program sent is still on its way, so that hark may end."""
        return all(relay.settled() for relay in self._relays)

    def tick(self, now: float) -> None:
        """Forget the flows whose last packets have had their time; `now` is time.monotonic()."""
        while self._closing and self._closing[0][0] <= now:
            self._nat.close(self._closing.popleft()[1])

    def local_end(self, flow: Flow, flags: int, inward: bool) -> None:
        """A flow inside the namespace is forgotten after its reset or its second FIN."""
        flow.seq |= 2 if inward else 1
        if flags & ip.RST or flow.seq == 3:
            self._closing.append((time.monotonic() + _FORGET, flow))

    def packet(self, packet: ip.Packet, data: bytes) -> None:
        """Take a TCP packet that is no part of a flow in progress: a SYN, or a stranger."""
        segment = ip.tcp(data, packet.start, packet.end)
        if segment is None:
            return
        client, server = (packet.src, segment.sport), (packet.dst, segment.dport)
        if segment.flags & (ip.SYN | ip.ACK) != ip.SYN:
            if segment.sport == setup.LISTEN_PORT and client[0] in (mirror.HERE4, mirror.HERE6):
                return  # our own listener's last words about a flow that is closed
            # A stranger: a flow of which we know nothing, as a host that has crashed and come back would see it.
            self._tun.rec.frame(data)
            if not segment.flags & ip.RST:
                self._refuse(client, server, segment.ack, segment.seq)
            return
        turn = self._nat.turns.get(ends(client, server))
        if turn is not None:
            flow = turn.flow
            if flow.seq == segment.seq and not flow.local and flow.syn:
                self._tun.rec.frame(data, flow.pid)  # sent again while the answer is still out
                return
            if isinstance(flow.relay, Relay):
                flow.relay.reset(flow.relay.program)
            self._nat.close(flow)
        self._syn(client, server, segment.seq, data)

    def _syn(self, client: Address, server: Address, seq: int, data: bytes) -> None:
        pid = self._owners.find(ip.TCP, client, server, time.time_ns(), self._tun.device.index)
        self._tun.rec.frame(data, pid)
        local = self._tun.is_own(server[0]) and self._owners.listens(ip.TCP, server, client, self._tun.device.index)
        device = self._tun.device
        inlet = self._tun.devices[0] if device is self._tun.lo else device
        way = device if device is self._tun.lo else None
        flow = self._nat.open(client, server, local, way, mirror.peers(inlet.number, len(client[0])))
        flow.pid, flow.device, flow.inlet = pid, device, inlet
        if local:
            self._tun.inject(data, bytes(self._tun.vnet))
            return
        flow.seq, flow.syn = seq, bytes(self._tun.vnet) + data
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
            self._tun.rec.loss("connection", 1, f"{error.strerror}: raise the limit (ulimit -Hn)")
            self._failed(flow, errno.ECONNREFUSED)
            return
        index = flow.device.index if flow.device is not None else 0
        scope = index if flow.server[0][:2] == b"\xfe\x80" else 0
        number = sock.connect_ex((target, flow.server[1], 0, scope) if ":" in target else (target, flow.server[1]))
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
        vnet, copy = syn[:VNET], bytearray(syn[VNET:])
        head, low, high = (20, 12, 24) if copy[0] >> 4 == 4 else (40, 8, 44)
        rewrite(copy, 0, head, low, high, turn.ends, turn.ip_sum, vnet[0] & 1, turn.partial_sum, turn.whole_sum)
        self._tun.inject(bytes(copy), vnet, flow.inlet)

    def _failed(self, flow: Flow, number: int) -> None:
        """Tell the program what the real connect has met."""
        if number == errno.ETIMEDOUT:
            return  # silence: the flow stays, so that its further SYNs are swallowed
        packet = flow.syn[VNET:]
        self._nat.close(flow)
        if number == errno.ECONNREFUSED or errno.errorcode.get(number, "") not in ip.UNREACHABLE:
            self._refuse(flow.client, flow.server, 0, flow.seq + 1, flow.device)
            return
        self._tun.answer(ip.unreachable(router(flow.server[0]), packet, errno.errorcode[number]), flow.device)

    def _refuse(
        self, client: Address, server: Address, seq: int, ack: int, device: Device | None = None
    ) -> None:
        reset = ip.rst_packet(server[0], client[0], server[1], client[1], seq, ack & 0xFFFFFFFF)
        self._tun.answer(reset, device)

    def _accepter(self, listener: socket.socket) -> Callable[[int], None]:
        six = listener.family == socket.AF_INET6

        def accept(event: int) -> None:
            for _ in range(BATCH):
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
        self._tun.rec.loss("connection", 1, f"{error.strerror}: raise the limit (ulimit -Hn)")
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
