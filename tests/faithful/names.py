"""Resolvers of every kind: where they listen, which of them are dead, what they leave to TCP."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from faithful import Case
from world import program

NETWORK = (
    "ip link add eth0 type veth peer name far; sysctl -qw net.ipv6.conf.far.disable_ipv6=1; "
    "ip link set eth0 up; ip link set far up; ip addr add 10.77.0.2/24 brd + dev eth0; "
    "ip addr add fe80::53/64 dev eth0 nodad; ip addr add 10.78.0.2/24 dev far"
)
# The world's own resolver has 127.0.0.53 and ::1.
RESOLVERS = {
    "loopback": "nameserver 127.0.0.54",
    "link-local": "nameserver fe80::53%eth0",
    "own-address": "nameserver 10.77.0.2",
    "first-dead": "nameserver 10.77.0.99\nnameserver 127.0.0.54",
    "first-refuses": "nameserver 127.0.0.9\nnameserver fe80::53%eth0",
    "search": "nameserver 127.0.0.54\nsearch nowhere.test corp.test\noptions ndots:2",
    "tcp-only": "nameserver fe80::53%eth0\noptions use-vc",
}
_OPTIONS = "\noptions timeout:1 attempts:2\n"

# A resolver for a few names. An answer over 512 octets is cut, so that it is asked for by TCP (RFC 1035 section 4.2).
SERVER = program("name_server.py")

PROGRAM = """
import socket
for name in 'one.test', 'my.host', 'myhost', 'none.test', 'big.test':
    try: found = sorted(entry[4][0] for entry in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM))
    except OSError as error: found = [error]
    print(name, len(found), *found[:4])
"""
ONE = "import socket; print(socket.getaddrinfo('one.test', 80, socket.AF_INET)[0][4])"


@contextlib.contextmanager
def resolver(world: Any, *addresses: str) -> Iterator[None]:
    """The resolver, on these addresses of the world's network."""
    process = world.popen([sys.executable, "-c", SERVER, *addresses], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def everywhere(world: Any) -> contextlib.AbstractContextManager[None]:
    """The resolver wherever one of RESOLVERS looks for it."""
    return resolver(world, "127.0.0.54", "fe80::53%eth0", "10.77.0.2")


CASES = [
    Case(f"resolver-{name}", PROGRAM if name != "first-dead" else ONE, everywhere, NETWORK, lines + _OPTIONS)
    for name, lines in RESOLVERS.items()
] + [
    Case(
        "resolver-loopback-ipv6",
        "import socket; print(*(socket.getaddrinfo(name, 80)[0][4][0] for name in ('site.test', 'six.test')))",
        resolver="nameserver ::1" + _OPTIONS,
        expect=b"192.0.2.10 2001:db8:1::10\n",
    ),
]
