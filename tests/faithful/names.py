"""Resolvers of every kind: where they listen, which is dead, what they leave to TCP."""

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Any

from faithful import Case

NETWORK = (
    "ip link add eth0 type veth peer name far; sysctl -qw net.ipv6.conf.far.disable_ipv6=1; "
    "ip link set eth0 up; ip link set far up; ip addr add 10.77.0.2/24 brd + dev eth0; "
    "ip addr add fe80::53/64 dev eth0 nodad"
)
_OPTIONS = "options timeout:1 attempts:2\n"
RESOLVERS = {
    "loopback": "nameserver 127.0.0.53\n",
    "loopback-ipv6": "nameserver ::1\n",
    "link-local": "nameserver fe80::53%eth0\n",
    "own-address": "nameserver 10.77.0.2\n",
    "first-dead": "nameserver 10.77.0.2\nnameserver 127.0.0.9\nnameserver ::1\n".replace("10.77.0.2", "10.77.0.99"),
    "first-refuses": "nameserver 127.0.0.9\nnameserver ::1\n",
    "search": "nameserver ::1\nsearch nowhere.test corp.test\noptions ndots:2\n",
}

PROGRAM = """
import socket
for name in 'one.test', 'my.host', 'myhost', 'none.test', 'big.test':
    for family in socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6:
        try: print(name, sorted(entry[4][0] for entry in socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM)))
        except OSError as error: print(name, error)
"""


@contextlib.contextmanager
def resolver(world: Any) -> Iterator[None]:
    """dnsmasq on every address of the host; big.test has more addresses than a datagram of DNS takes."""
    many = [f"--host-record=big.test,10.1.{n // 250}.{n % 250 + 1}" for n in range(80)]
    command = [
        "dnsmasq", "-k", "-C", "/dev/null", "-R", "-h", "--pid-file=", "--no-hosts", "--bind-interfaces", "-u", "harktest",
        "-a", "::1", "-a", "fe80::53%eth0", "-a", "10.77.0.2", "-a", "127.0.0.1", "--local=/test/", "--local=/host/", "--edns-packet-max=1232",
        "--host-record=one.test,192.0.2.10,2001:db8:1::10", "--host-record=my.host,192.0.2.10",
        "--host-record=myhost.corp.test,192.0.2.10", *many,
    ]  # fmt: skip
    yield
CASES: list[Case] = []
