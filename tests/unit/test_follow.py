"""The namespace follows the host's network while the program runs."""

import os
import pathlib
import socket
import subprocess
import tempfile

import pytest

from alone import ADDRESS4, INDEX, address, alone
from alone import ip as alone_ip
from hark.recording.blocks import Loss
from hark.recording.ring import Reader, Ring, Writer
from hark.system.netlink import DELADDR, GETADDR, Route, attributes
from hark.tap import launch
from hark.tap.loop import Loop
from hark.tap.namespace import follow, host, mirror, setup
from hark.tap.namespace.tap import NamespaceTap
from hark.tap.recorder import Recorder
from world import until

pytestmark = pytest.mark.slow


class Followed:
    """A namespace whose tap is served when `serve` is called."""

    def __init__(self) -> None:
        looked = setup.look(tempfile.mkdtemp(prefix="hark-test-"))
        self.child = launch.prepare("/bin/sleep", ["sleep", "60"], looked, None, []).ready()
        self.inside = Route(socket.socket(fileno=os.dup(self.child.files["route"])))
        self.loop, self.ring = Loop(), Ring()
        self.tap = NamespaceTap(self.child.files, looked.network, self.loop, Recorder(Writer(self.ring)), None)

    def serve(self) -> None:
        self.loop.once(0.01)

    def addresses(self) -> set[tuple[int, str]]:
        """(interface, address) inside."""
        found = set()
        for body in self.inside.dump(GETADDR, bytes(8)):
            there = attributes(body, 8)
            local = there.get(2) or there[1]
            family = socket.AF_INET if len(local) == 4 else socket.AF_INET6
            found.add((int.from_bytes(body[4:8], "little"), socket.inet_ntop(family, local)))
        return found

    def soon(self, there: tuple[int, str], wanted: bool) -> None:
        def done() -> bool:
            self.serve()
            return (there in self.addresses()) == wanted

        until(done)

    def route(self, target: str) -> str:
        """How the program would get there."""
        enter = ["nsenter", f"--net=/proc/{self.child.pid}/ns/net"]
        if os.getuid():
            enter[1:1] = [f"--user=/proc/{self.child.pid}/ns/user", "--preserve-credentials"]
        done = subprocess.run([*enter, "ip", "route", "get", target], capture_output=True, text=True)
        return done.stdout + done.stderr


@pytest.fixture(autouse=True)
def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "SETTLE", 0.01)


@alone
def test_an_address_comes_and_goes() -> None:
    followed, outside = Followed(), Route()
    assert (INDEX, ADDRESS4) in followed.addresses()
    for family, text, prefix in ((socket.AF_INET, "192.0.2.77", 24), (socket.AF_INET6, "2001:db8:1::77", 64)):
        address(outside, family, text, prefix)
        followed.soon((INDEX, text), True)
        assert followed.tap.tun.is_own(socket.inet_pton(family, text))
        address(outside, family, text, prefix, message=DELADDR)
        followed.soon((INDEX, text), False)
        assert not followed.tap.tun.is_own(socket.inet_pton(family, text))
    assert (INDEX, ADDRESS4) in followed.addresses()
    assert not [block for block, _ in Reader(followed.ring).blocks() if isinstance(block, Loss)]


@alone
def test_routes_and_rules_follow() -> None:
    followed = Followed()
    assert "via" not in followed.route("203.0.113.5")

    def is_reached() -> bool:
        followed.serve()
        return "via 192.0.2.1" in followed.route("203.0.113.5")

    for action in ("add", "del"):
        alone_ip("route", action, "203.0.113.0/24", "via", "192.0.2.1")
        until(lambda action=action: is_reached() == (action == "add"))
    alone_ip("route", "add", "203.0.113.0/24", "via", "192.0.2.1", "table", "23")
    for _ in range(20):  # that change is over: the next is seen by itself
        followed.serve()
    for action in ("add", "del"):
        alone_ip("rule", action, "to", "203.0.113.0/24", "table", "23")
        until(lambda action=action: is_reached() == (action == "add"))


@alone
def test_what_belongs_to_an_interface_that_came_later_is_at_the_first() -> None:
    followed = Followed()
    later = INDEX + 1
    held = mirror.open_device(mirror.Link(later, "eth1", bytes.fromhex("020000000b0b")))
    outside = Route()
    outside.up(later)
    address(outside, socket.AF_INET, "198.51.100.7", 24, later)
    followed.soon((INDEX, "198.51.100.7"), True)
    os.close(held)  # the interface is gone
    followed.soon((INDEX, "198.51.100.7"), False)


@alone
def test_what_the_host_s_kernel_reports_is_all_there_is_to_a_change() -> None:
    """The same network read again is equal: nothing is done for a change that is none."""
    here = host.look(os.getuid())
    assert host.look(os.getuid()) == here
    pathlib.Path("/proc/sys/net/ipv4/conf/all/forwarding").write_text("1")
    assert host.look(os.getuid()) == here
