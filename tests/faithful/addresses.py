"""The host's interfaces and addresses, and the order in which names resolve to them (RFC 6724)."""

import contextlib
from typing import Any

from faithful import Case
from faithful.datagrams import NETWORK, server
from faithful.names import resolver
from world import program

# The world's servers have their addresses on lo: they may be taken away all the same.
_BARE = (
    "sysctl -qw net.ipv4.ip_nonlocal_bind=1 net.ipv6.ip_nonlocal_bind=1; ip addr del 192.0.2.10/32 dev lo; "
    "ip addr del 2001:db8:1::10/128 dev lo; ip link add eth0 type veth peer name far; "
    "sysctl -qw net.ipv6.conf.far.disable_ipv6=1; "
)
_UP = "ip link set eth0 up; ip link set far up; "
_FOUR = "ip addr add 10.77.0.2/24 brd + dev eth0; ip route add default via 10.77.0.1; "
_SIX = "ip addr add 2001:db8:77::2/64 dev eth0 nodad; ip -6 route add default via 2001:db8:77::1 dev eth0; "

# Hosts that differ in what they can reach: the order of a name's addresses depends on it.
HOSTS = {
    "global": _BARE + _UP + _FOUR + _SIX,
    "ula-only": f"{_BARE} sysctl -qw net.ipv6.conf.eth0.addr_gen_mode=1; {_UP} {_FOUR}"
    "ip addr add fd00:77::2/64 dev eth0 nodad; ip -6 route add default via fd00:77::1 dev eth0",
    "without-ipv6": f"{_BARE} {_UP} {_FOUR} sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
    "link-local-ipv4": f"{_BARE} {_UP} {_SIX} ip addr add 169.254.7.7/16 dev eth0; ip route add default dev eth0",
    "link-local-ipv6": _BARE + _UP + _FOUR,
    "deprecated": f"{_BARE} {_UP} {_FOUR} ip addr add 2001:db8:77::2/64 dev eth0 nodad preferred_lft 0; "
    "ip addr add fd00:77::2/64 dev eth0 nodad; ip -6 route add default via 2001:db8:77::1 dev eth0",
    "two-uplinks": f"{_BARE} {_UP} {_FOUR} {_SIX} ip addr add 10.78.0.2/24 dev far; "
    "ip route add default via 10.78.0.1 metric 50; ip addr add 2001:db8:78::2/64 dev eth0 nodad; "
    "ip rule add to 8.8.4.0/24 lookup 77; ip route add default via 10.77.0.1 table 77 src 10.77.0.2",
    "forbidden": f"{_BARE} {_UP} {_FOUR} {_SIX} ip route add unreachable 8.8.4.0/24; "
    "ip -6 route add prohibit 2001:4860::/32; ip route add blackhole 8.8.8.0/24",
}


def names(world: Any) -> contextlib.AbstractContextManager[None]:
    """A resolver with names that have addresses of every kind."""
    return resolver(world, "127.0.0.54")


ORDER = program("address_order.py")

INTERFACES = program("interfaces.py")

RESOLVER = "nameserver 127.0.0.54\noptions timeout:1 attempts:1\n"
CASES = [
    *(Case(f"order-{name}", ORDER, names, script, RESOLVER) for name, script in HOSTS.items()),
    Case("interfaces", INTERFACES, names, HOSTS["two-uplinks"], RESOLVER),
    Case(
        "mtu",
        "import subprocess; print(subprocess.run(['ip', '-o', 'link', 'show', 'eth0'], capture_output=True).stdout.split()[2:5])",
        server,
        NETWORK,
        limit="The program's interfaces have the host's names and addresses but an MTU",
    ),
    Case(
        "bind-to-the-hosts-address",
        """
import socket
for host, family in ('10.77.0.2', socket.AF_INET), ('192.0.2.11', socket.AF_INET), ('fd00:77::2', socket.AF_INET6):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        s = socket.socket(family, kind); s.bind((host, 0)); print(s.getsockname()[0])
for host, family in ('10.99.0.2', socket.AF_INET), ('fd00:99::2', socket.AF_INET6), ('198.18.104.2', socket.AF_INET):
    try: socket.socket(family).bind((host, 0))
    except OSError as error: print(error)
""",
        around=server,
        network=NETWORK,
    ),
    Case(
        "a-server-of-the-tree-on-the-hosts-address",
        """
import socket
for listen, family, hosts in (('0.0.0.0', socket.AF_INET, ['127.0.0.1', '10.77.0.2', '192.0.2.11']),
                              ('::', socket.AF_INET6, ['::1', 'fd00:77::2', '2001:db8:1::11', '::ffff:10.77.0.2']),
                              ('10.77.0.2', socket.AF_INET, ['10.77.0.2']), ('::1', socket.AF_INET6, ['::1'])):
    s = socket.create_server((listen, 0), family=family)
    for host in hosts:
        c = socket.create_connection((host, s.getsockname()[1]), 2); t, peer = s.accept()
        t.send(b'hello'); print(host, c.recv(10), peer[0], c.getsockname()[0], c.getpeername()[:1])
""",
        around=server,
        network=NETWORK,
    ),
]
