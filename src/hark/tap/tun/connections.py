"""The sockets of the namespace's TCP connections: real connects, accepted programs, the relays between them.

What   Does what tcp.py asks for, and gives it the results.
Ends   The real connection has the program's own address, port (where that is free on the host) and interface, and what
       the program has set on its socket (sockopts.py, probes.py). It fails at the program as it failed (relay.py,
       expire.py).
Fails  An exception about one connection ends that one and is reported.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections import deque
from collections.abc import Callable

from hark.recording.blocks import Note
from hark.system.netlink import Settings
from hark.tap.loop import IN, OUT, Loop
from hark.tap.tun import sockopts, udp
from hark.tap.tun.borrow import Borrower, give_back
from hark.tap.tun.decisions import Action, Decisions
from hark.tap.tun.device import Device
from hark.tap.tun.expire import expire
from hark.tap.tun.flows import Address, Arrival, Flow, Held, Over, Relayed, Released, State
from hark.tap.tun.nat import Nat, rewrite
from hark.tap.tun.network import peers
from hark.tap.tun.owners import Owners
from hark.tap.tun.probes import Probes
from hark.tap.tun.relay import Relay, reset
from hark.tap.tun.tcp import Tcp
from hark.tap.tun.tun import BATCH, Tun, router
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_FORGET: Final = 4.0  # s that a closed flow's last packets still find their way
_PAUSE: Final = 0.005  # s before the reset of a connection that the server has reset at once
_SEARCH: Final = 2  # which look at a connection's socket is worth a search of all processes for it
_BIND_NO_PORT: Final = 24  # IP_BIND_ADDRESS_NO_PORT: the port is chosen at the connect, when the other end is known


class Connections:
    """The namespace's TCP connections. `listeners` are our listeners' descriptors inside it."""

    def __init__(
        self, tun: Tun, loop: Loop, owners: Owners, nat: Nat, listeners: list[int], decisions: Decisions
    ) -> None:
        self._tun = tun
        self._loop = loop
        self._owners = owners
        self._nat = nat
        self._tcp = Tcp(nat, self, decisions)
        self._decisions = decisions
        self._relays: set[Relay] = set()
        self._closing: deque[tuple[float, Flow]] = deque()
        self._fresh: deque[tuple[float, Flow, Relay]] = deque()  # whose sockets are still to be looked at
        self._borrower = Borrower()
        self._defaults = sockopts.Defaults()
        self._probes = Probes(loop, self.forward)
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.packet, self.ended = self._tcp.packet, self._tcp.ended
        for fd in listeners:
            loop.add(fd, IN, self._accepter(socket.socket(fileno=fd)))

    def settled(self) -> bool:
        """Whether nothing that the program sent is still on its way, so that hark may end."""
        return all(relay.settled() for relay in self._relays)

    def tick(self, now: float) -> None:
        """Forget the flows whose last packets have had their time; `now` is time.monotonic()."""
        while self._closing and self._closing[0][0] <= now:
            self._nat.close(self._closing.popleft()[1])

    def notice(self, flow: Flow, tos: int, packet: bytes) -> bool:
        """Look at a packet of the program that has another type of service than the last, or came after a quiet time;
        whether it is held back."""
        if tos != flow.tos:
            flow.tos = tos
            state = flow.state
            server = state.relay.server.sock if isinstance(state, Relayed) else None
            if isinstance(state, Released):
                server = state.server
            if server is not None and server.fileno() >= 0:
                sockopts.put_service(server, server.family == socket.AF_INET6, tos)
        return self._probes.take(flow, packet, bytes(self._tun.vnet))

    # -- what tcp.py asks for ----------------------------------------------------------------------------------------

    def look(self, client: Address, server: Address, data: bytes) -> Arrival:
        """Find out about a SYN that has just come."""
        now = time.time_ns()
        device = self._tun.device
        own = self._tun.is_own(server[0])
        owner, settings, local = self._owners.socket(client, server, now, device.index, own)
        inlet = self._tun.devices[0] if device is self._tun.lo else device
        way = device if device is self._tun.lo else None
        network = peers(inlet.number, len(client[0]))
        vnet = bytes(self._tun.vnet)
        return Arrival(owner, settings, local, device, inlet, way, network, vnet, sockopts.service(data), now)

    def record(self, data: bytes, pid: int = 0) -> None:
        """Record a packet as it came."""
        self._tun.rec.frame(data, pid)

    def hand(self, data: bytes, vnet: bytes) -> None:
        """Hand a packet back as it came."""
        self._tun.inject(data, vnet)

    def forward(self, flow: Flow, packet: bytes, vnet: bytes) -> None:
        """Let a packet of the program go on to our listener."""
        turn = self._nat.turns.get(flow.key)
        if turn is None or turn.flow is not flow:
            return
        copy = bytearray(packet)
        head, low, high = (20, 12, 24) if copy[0] >> 4 == 4 else (40, 8, 44)
        rewrite(copy, 0, head, low, high, turn.ends, turn.ip_sum, vnet[0] & 1, turn.partial_sum, turn.whole_sum)
        self._tun.inject(bytes(copy), vnet, flow.inlet)

    def answer(self, packet: bytes, device: Device | None) -> None:
        """Record a packet of our making and hand it to the program."""
        self._tun.answer(packet, device)

    def unreachable(self, target: bytes, packet: bytes, name: str, device: Device | None) -> None:
        """Answer with the ICMP error for that errno."""
        self._tun.answer(ip.unreachable(router(target), packet, name), device)

    def abandon(self, state: State) -> None:
        """End the real side of a connection that the program has given up."""
        if isinstance(state, Held) and state.sock is not None:
            self._loop.remove(state.sock.fileno())
            state.sock.close()
        elif isinstance(state, Released) and state.server is not None:
            reset(state.server)
        elif isinstance(state, Relayed):
            state.relay.reset()

    def forget(self, flow: Flow) -> None:
        """Forget it when its last packets have passed."""
        self._closing.append((time.monotonic() + _FORGET, flow))

    # -- connecting --------------------------------------------------------------------------------------------------

    def connect(self, flow: Flow, held: Held, settings: Settings | None) -> None:
        """Begin the real connect."""
        target = udp.host_address(flow.server[0])
        # Where ::1 does not cross, a program that is refused there goes on to 127.0.0.1.
        targets = [target, "::1"] if target.startswith("127.") and self._tun.lo is None else [target]
        try:
            self._connect(flow, held, settings, targets)
        except Exception as error:
            self._crashed(error)
            self._tcp.decided(flow, held, errno.ECONNREFUSED)

    def _connect(
        self, flow: Flow, held: Held, settings: Settings | None, targets: list[str], port: bool = True
    ) -> None:
        """Try the next upstream address; a connected socket releases the held SYN. `port`: try the program's own."""
        target = targets[0]
        six = ":" in target
        sock = held.sock = self._socket(six)
        if sock is None:
            self._tcp.decided(flow, held, errno.ECONNREFUSED)
            return
        bound = self._dress(sock, flow, held, settings, six, port)
        scope = flow.device.index if flow.device is not None and flow.server[0][:2] == b"\xfe\x80" else 0
        place = (target, flow.server[1], 0, scope) if six else (target, flow.server[1])

        def decided(number: int) -> None:
            if number == errno.EADDRNOTAVAIL and bound:  # an earlier connection of that port is not forgotten yet
                sock.close()
                self._connect(flow, held, settings, targets, port=False)
            elif number and number != errno.ECONNRESET and targets[1:]:
                sock.close()
                self._connect(flow, held, settings, targets[1:])
            else:
                self._decided(flow, held, number)

        def connected(event: int) -> None:
            self._loop.remove(sock.fileno())
            decided(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

        def failed(error: Exception) -> None:
            self._crashed(error)
            self._loop.remove(sock.fileno())
            self._tcp.decided(flow, held, errno.ECONNREFUSED)

        number = _reach(sock, place)
        if number == errno.EINPROGRESS:
            self._loop.add(sock.fileno(), OUT, connected, failed)
        else:
            decided(number)

    def _socket(self, six: bool) -> socket.socket | None:
        """A socket for a real connection; None where there can be none more."""
        try:
            return socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._tun.rec.loss("connection", 1, f"{error.strerror}: raise the limit (ulimit -Hn)")
            return None

    def _dress(
        self, sock: socket.socket, flow: Flow, held: Held, settings: Settings | None, six: bool, port: bool
    ) -> bool:
        """Give the real connection what the program's socket has: options, interface, its own end; as for _bind()."""
        sockopts.from_syn(sock, six, held.syn, settings, self._defaults)
        if settings is not None and settings.device and flow.device is not None and flow.device.index:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _name(flow.device.index))
            # A loopback source is what the namespace chose for the way to us; by that interface the host would not.
            if flow.client[0][0] == 127 and flow.device is not self._tun.lo:
                return False
        return self._bind(sock, flow, held, six, port)

    def _bind(self, sock: socket.socket, flow: Flow, held: Held, six: bool, port: bool) -> bool:
        """Give the real connection the program's own end, where that is an address of the host; whether the port is
        the program's."""
        address = flow.client[0]
        if not self._tun.is_own(address) or len(address) != (16 if six else 4):
            return False
        text = udp.host_address(address)
        scope = flow.device.index if flow.device is not None and address[:2] == b"\xfe\x80" else 0
        more = (0, scope) if six else ()
        held.taken = True
        if port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # an earlier one may not be forgotten yet
            with contextlib.suppress(OSError):  # somebody on the host has it: the kernel chooses another
                sock.bind((text, flow.client[1], *more))
                held.taken = False
                return True
        with contextlib.suppress(OSError):  # the host has lost that address since the start: it chooses one
            sock.setsockopt(socket.IPPROTO_IP, _BIND_NO_PORT, 1)
            sock.bind((text, 0, *more))
        return False

    def _decided(self, flow: Flow, held: Held, number: int) -> None:
        sock = held.sock
        if flow.state is not held or sock is None:
            return  # the program has given up meanwhile
        if number:
            held.sock = None
            sock.close()
        if number not in (0, errno.ECONNRESET) and flow.server[0][0] == 127 and self._tun.lo is None:
            number = errno.ECONNREFUSED  # the address that the program asked for has the say, not the fall-back
        if not number and held.taken:
            address, port = sock.getsockname()[:2]
            fields = (("address", address), ("port", str(port)), ("why", "the program's port is taken on the host"))
            self._tun.rec.block(Note(time.time_ns(), flow.key, "source", fields))
        self._tcp.decided(flow, held, number)

    # -- connected ---------------------------------------------------------------------------------------------------

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
                try:
                    packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, peer[0])
                    self._start(program, self._tcp.accepted((packed, peer[1])))
                except Exception as error:
                    self._crashed(error)
                    reset(program)

        return accept

    def _turn_away(self, listener: socket.socket, error: OSError) -> None:
        """No descriptor is left: take the spare one to end the connection, which would wait and wake us for ever."""
        self._tun.rec.loss("connection", 1, f"{error.strerror}: raise the limit (ulimit -Hn)")
        os.close(self._spare)
        with contextlib.suppress(OSError):  # it may have gone by itself
            listener.accept()[0].close()
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def _start(self, program: socket.socket, found: tuple[Flow, Released] | None) -> None:
        if found is None:
            program.close()  # its flow has ended in the meantime
            return
        flow, server = found[0], found[1].server
        if server is None:
            flow.state = Over()
            # Not at once: the program gets out of its connect() first.
            self._loop.later(_PAUSE, lambda: reset(program), self._crashed)
            self.forget(flow)
            return
        program.setblocking(False)

        def done(relay: Relay) -> None:
            self._relays.discard(relay)
            flow.state = Over()
            self.forget(flow)

        def expired(relay: Relay, number: int) -> None:
            self._expire(flow, number)

        try:
            relay = Relay(self._loop, program, server, done, expired, self._crashed)
        except OSError:
            flow.state = Over()
            program.close()  # reset before it began
            server.close()
            self.forget(flow)
            return
        flow.state = Relayed(relay)
        relay.program.first = lambda data: self._may_go_on(flow, data)
        self._relays.add(relay)
        if not self._fresh:
            self._loop.later(sockopts.CHECKS[0], self._look_at_fresh, self._crashed)
        self._fresh.append((time.monotonic() + sockopts.CHECKS[0], flow, relay))

    def _may_go_on(self, flow: Flow, data: memoryview) -> bool:
        decision = self._decisions.first_bytes(flow.client, flow.server, data, flow.owner.pid)
        return decision.action is Action.PASS

    def _look_at_fresh(self) -> None:
        """The first look at what programs have set: most connections are over by then, so one timer is for all."""
        now = time.monotonic()
        for _ in range(BATCH):
            if not self._fresh or self._fresh[0][0] > now:
                break
            _, flow, relay = self._fresh.popleft()
            try:
                self._check(flow, relay, 0)
            except Exception as error:
                self._crashed(error)
        if self._fresh:
            self._loop.later(max(0.0, self._fresh[0][0] - now), self._look_at_fresh, self._crashed)

    def _check(self, flow: Flow, relay: Relay, stage: int) -> None:
        """Carry over what the program has set on its socket since."""
        if relay.closed or relay.doomed or relay.program.eof or self._borrower.refused or not flow.owner.pid:
            return
        server = relay.server.sock
        borrowed = self._borrower.borrow(flow.owner, len(flow.client[0]) == 16)
        if borrowed is None:
            if stage >= _SEARCH:
                flow.owner = self._owners.again(flow.owner.inode)  # e.g. it is a child's by now
        else:
            try:
                values = sockopts.values(borrowed, server.family)
            finally:
                give_back(borrowed)
            sockopts.carry(server, server.family, values, flow.carried or self._defaults.of[server.family])
            flow.carried = values
        stage = min(stage + 1, len(sockopts.CHECKS) - 1)
        self._loop.later(sockopts.CHECKS[stage], lambda: self._check(flow, relay, stage), self._crashed)

    def _expire(self, flow: Flow, number: int) -> None:
        """The real connection has timed out: so shall the program's."""
        borrowed = self._borrower.borrow(flow.owner, len(flow.client[0]) == 16)
        if borrowed is None:
            return
        self._nat.close(flow)
        self._tcp.expiring[flow.key] = None
        expire(self._loop, borrowed, lambda: self._tcp.expiring.pop(flow.key, None))

    def _crashed(self, error: Exception) -> None:
        what = f"{type(error).__name__}: {error}"
        self._tun.rec.loss("connection", 1, f"a fault in hark, please report it: {what}")


def _name(index: int) -> bytes:
    return socket.if_indextoname(index).encode()


def _reach(sock: socket.socket, place: tuple[str, int] | tuple[str, int, int, int]) -> int:
    """Connect; the errno, EINPROGRESS where it takes longer."""
    number = sock.connect_ex(place)
    if number == errno.EINPROGRESS:
        with contextlib.suppress(OSError):  # on loopback the handshake is over by now: it saves a round of the loop
            sock.getpeername()
            return 0
    return number
