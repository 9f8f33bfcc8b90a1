"""Packets from the devices, over a socket pair in a device's place: what one packet does wrong is no other's."""

import socket

from hark.recording.blocks import Frame, Loss
from hark.recording.ring import Reader, Ring, Writer
from hark.tap.loop import Loop
from hark.tap.recorder import Recorder
from hark.tap.tun.network import Network, links
from hark.tap.tun.tun import VNET, Tun
from hark.wire import ip

A, B = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])


def test_a_fault_about_one_packet_is_recorded_and_the_next_is_taken() -> None:
    ring = Ring()
    writer = Writer(ring)
    loop = Loop()
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    tun = Tun({"device0": near.fileno(), "loopback": -1}, Network(), loop, Recorder(writer), {})
    taken = []

    def slow(data: bytes) -> None:
        taken.append(data)
        if len(taken) == 1:
            raise ValueError("a fault")
        tun.answer(data)

    tun.slow = slow
    ether = links(Network())[0].mac * 2 + b"\x08\0"
    for port in (1000, 2000):
        far.send(bytes(VNET) + ether + ip.udp_packet(A, B, port, 53, b"x"))
    loop.once(1)
    assert len(taken) == 2
    assert far.recv(2000)[VNET + len(ether) :] == taken[1]
    reader = Reader(ring)
    blocks = [block for block, _ in reader.blocks()]
    (loss,) = [block for block in blocks if isinstance(block, Loss)]
    assert "ValueError: a fault" in loss.why
    assert [bytes(block.data) for block in blocks if isinstance(block, Frame)] == [taken[1]]
