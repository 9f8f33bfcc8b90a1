"""Multicast and broadcast: what the program joins inside is joined on the host, and what is sent there comes in."""

import socket

from alone import ADDRESS4, INDEX, alone
from hark.tap.tun import groups
from hark.wire import ip
from live import Live, python
from world import until

GROUP, PORT = "239.23.0.7", 7123


def joined() -> bool:
    """Whether somebody on the host has joined."""
    with open("/proc/net/igmp") as lists:
        return socket.inet_aton(GROUP)[::-1].hex().upper() in lists.read()


def sender() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    request = socket.inet_aton(GROUP) + socket.inet_aton(ADDRESS4) + INDEX.to_bytes(4, "little")
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
    return made


@alone
def test_a_group_is_joined_outside_while_the_program_is_in_it() -> None:
    def send() -> None:
        until(joined)
        with sender() as sock:
            sock.sendto(b"to the group", (GROUP, PORT))

    assert not joined()
    live = Live(python("network.py", "group", GROUP, str(PORT))).run(send)
    assert (live.out, live.losses) == (f"to the group {ADDRESS4}\n", [])
    (received,) = [data for packet, data, _ in live.packets(ip.UDP) if ip.text(packet.dst) == GROUP]
    assert received[8:] == b"to the group"
    assert int.from_bytes(received[2:4], "big") == PORT


@alone
def test_a_port_that_cannot_be_had_is_said_once_and_costs_nothing_else() -> None:
    """Another program of the host has the group's port for itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((GROUP, PORT))

        def give_up() -> None:
            import os
            import signal

            until(lambda: groups_refused(live))
            os.kill(live.child.pid, signal.SIGTERM)

        live = Live(python("network.py", "group", GROUP, str(PORT)))
        live.run(give_up)
    assert live.status == -15
    assert live.losses == [f"datagram: listening to {GROUP}: Address already in use"]


def groups_refused(live: Live) -> bool:
    found = live.tap._datagrams._groups
    assert isinstance(found, groups.Groups)
    return bool(found._refused)
