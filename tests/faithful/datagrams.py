"""UDP as the program sees it: who may answer, what a packet looks like, groups, broadcasts, errors."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from faithful import Case
from world import program

# The host's side: an interface with a network of its own, more addresses, a network without a way.
NETWORK = (
    "ip link add eth0 type veth peer name far; sysctl -qw net.ipv6.conf.far.disable_ipv6=1; "
    "ip link set eth0 up; ip link set far up; ip addr add 10.77.0.2/24 brd + dev eth0; "
    "ip addr add fd00:77::2/64 dev eth0 nodad; ip addr add fe80::2/64 dev eth0 nodad; "
    "ip route add 224.0.0.0/4 dev eth0; ip addr add 192.0.2.11/32 dev lo; ip addr add 2001:db8:1::11/128 dev lo"
)

# One server for all: what a datagram says is how it is answered.
SERVER = program("datagram_servers.py")


@contextlib.contextmanager
def server(world: Any) -> Iterator[None]:
    """The server, in the world's network."""
    process = world.popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


BOTH = """
import socket, struct, select, errno, time
S4, S6 = ('192.0.2.10', 7000), ('2001:db8:1::10', 7000)
def udp(server):
    s = socket.socket(socket.AF_INET6 if ':' in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(2)
    return s
"""


def case(name: str, program: str, expect: bytes) -> Case:
    """A program with what all of these need, beside the server."""
    return Case(name, BOTH + program, around=server, network=NETWORK, expect=expect)


CASES = [
    case(
        "answer-from-another-port-and-address",
        """
for server in S4, S6:
    for word in b'port', b'address':
        s = udp(server); s.sendto(word, server); print(s.recvfrom(100)[:2])
""",
        b"(b'port', ('192.0.2.10', 7001))\n(b'address', ('192.0.2.11', 7000))\n"
        b"(b'port', ('2001:db8:1::10', 7001, 0, 0))\n(b'address', ('2001:db8:1::11', 7000, 0, 0))\n",
    ),
    case(
        "a-transfer-that-goes-on-from-another-port",  # as TFTP does (RFC 1350 section 4)
        """
s = udp(S4); s.sendto(b'port', S4); data, peer = s.recvfrom(100)
s.sendto(b'more', peer); print(s.recvfrom(100))
""",
        b"(b'more', ('192.0.2.10', 7001))\n",
    ),
    case(
        "a-connected-socket-takes-its-peer-only",
        """
s = udp(S4); s.connect(S4); s.settimeout(0.3); s.send(b'port')
try: print(s.recv(100))
except TimeoutError: print('nothing')
s.send(b'x'); print(s.recv(100))
""",
        b"nothing\nb'x'\n",
    ),
    case(
        "every-peer-sees-the-same-port",  # as STUN asks (RFC 4787 REQ-1)
        """
for servers in (S4, ('192.0.2.10', 7001), ('192.0.2.11', 7000)), (S6, ('2001:db8:1::11', 7000)):
    s = udp(servers[0]); seen = set()
    for server in servers: s.sendto(b'who', server); seen.add(eval(s.recv(100))[1])
    print(len(seen), seen.pop() == s.getsockname()[1])
s = udp(S4); s.bind(('10.77.0.2', 0)); s.sendto(b'who', S4); print(eval(s.recv(100)) == s.getsockname())
s = udp(S4); s.bind(('', 7010)); s.sendto(b'who', S4); print(eval(s.recv(100)))
""",
        b"1 True\n1 True\nTrue\n('192.0.2.10', 7010)\n",
    ),
    case(
        "ttl-and-tos",
        """
for server, level, ttl, tos in ((S4, socket.IPPROTO_IP, socket.IP_TTL, socket.IP_TOS),
                                (S6, socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, socket.IPV6_TCLASS)):
    s = udp(server); s.sendto(b'look', server); print(eval(s.recv(100)))
    s.setsockopt(level, ttl, 9); s.setsockopt(level, tos, 0xB8); s.sendto(b'look', server); print(eval(s.recv(100)))
    s.setsockopt(level, tos, 2); s.sendto(b'look', server); print(eval(s.recv(100)))
""",
        b"[0, 64]\n[9, 184]\n[2, 9]\n" * 2,
    ),
    case(
        "ttl-and-tos-of-answers",
        """
for server, level, options in ((S4, socket.IPPROTO_IP, (12, socket.IP_RECVTOS)),
                               (S6, socket.IPPROTO_IPV6, (socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS))):
    s = udp(server); [s.setsockopt(level, option, 1) for option in options]
    for word in b'x', b'marked', b'x':
        s.sendto(word, server); data, notes, _, _ = s.recvmsg(100, 100); print(sorted(n[0] for _, _, n in notes))
""",
        b"[0, 64]\n[2, 33]\n[0, 64]\n" * 2,
    ),
    case(
        "big-datagrams",
        """
for server in S4, S6:
    for size in 0, 1, 1472, 1473, 9000, 65000, 65507:
        s = udp(server); s.sendto(b'x' * size, server); print(size, len(s.recv(70000)))
try: udp(S4).sendto(b'x' * 65508, S4)
except OSError as error: print(error)
""",
        b"0 0\n1 1\n1472 1472\n1473 1473\n9000 9000\n65000 65000\n65507 65507\n" * 2 + b"[Errno 90] Message too long\n",
    ),
    case(
        "errors",
        """
for host in '192.0.2.10', '2001:db8:1::10', '127.0.0.1', '::1', '10.77.0.2':
    s = udp((host,)); s.connect((host, 9)); s.send(b'x'); time.sleep(0.1)
    try: print(s.recv(10))
    except OSError as error: print('connected', host, error)
    s = udp((host,)); s.settimeout(0.1); s.sendto(b'x', (host, 9))
    try: print(s.recv(10))
    except OSError as error: print('unconnected', host, error)
    six = ':' in host
    s = udp((host,)); s.setsockopt(socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP, 25 if six else 11, 1)
    s.sendto(b'lost', (host, 9)); select.select([s], [], [], 1)
    data, notes, _, name = s.recvmsg(100, 200, socket.MSG_ERRQUEUE)
    number, origin, kind, code, info = struct.unpack_from('=IBBBxI', notes[0][2])
    print(data, errno.errorcode[number], origin, kind, code, info, name[:2])
    s.sendto(b'y', (host, 7002)); s.settimeout(2); print(s.recv(10))
""",
        b"".join(
            b"connected %b [Errno 111] Connection refused\nunconnected %b timed out\n"
            b"b'lost' ECONNREFUSED %b 0 ('%b', 9)\nb'y'\n" % (host, host, b"3 1 4" if b":" in host else b"2 3 3", host)
            for host in (b"192.0.2.10", b"2001:db8:1::10", b"127.0.0.1", b"::1", b"10.77.0.2")
        ),
    ),
    case(
        "an-error-does-not-disturb-the-other-peers",
        """
s = udp(S4)
for n in range(3):
    s.sendto(b'lost', ('192.0.2.10', 9)); s.sendto(b'%d' % n, S4); print(s.recvfrom(10))
    time.sleep(0.05); s.sendto(b'again', S4); print(s.recvfrom(10))
""",
        b"".join(b"(b'%d', ('192.0.2.10', 7000))\n(b'again', ('192.0.2.10', 7000))\n" % n for n in range(3)),
    ),
    case(
        "broadcast",
        """
for host in '10.77.0.255', '255.255.255.255':
    s = udp((host,)); s.bind(('10.77.0.2', 0))
    try: s.sendto(b'x', (host, 7002))
    except OSError as error: print(error)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if host[0] == '2': s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
    s.sendto(b'who', (host, 7002)); data, peer = s.recvfrom(100)
    print(eval(data) == s.getsockname(), peer)
""",
        b"[Errno 13] Permission denied\nTrue ('10.77.0.2', 7002)\n" * 2,
    ),
    case(
        "multicast-query",  # as SSDP's: the answer comes from the answerer's own address
        """
for group in '239.77.0.1', '224.0.0.251':
    s = udp((group,)); s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
    s.sendto(b'look', (group, 7002)); print(s.recvfrom(100))
s = udp(S6); s.sendto(b'who', ('ff02::77%eth0', 7002)); data, peer = s.recvfrom(100)
print(eval(data)[1] == s.getsockname()[1], peer[0], peer[3] == socket.if_nametoindex('eth0'))
""",
        b"(b'[0, 4]', ('10.77.0.2', 7002))\n(b'[0, 4]', ('10.77.0.2', 7002))\nTrue fe80::2 True\n",
    ),
    case(
        "multicast-join",
        """
def join(port):
    s = udp(S4); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('', port))
    s.setsockopt(socket.IPPROTO_IP, 12, 1)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                 struct.pack('=4s4si', socket.inet_aton('239.77.0.2'), bytes(4), socket.if_nametoindex('eth0')))
    return s
def told(s): data, notes, _, peer = s.recvmsg(100, 100); return data, notes[0][2][0], peer
s = join(7020); s.sendto(b'mine', ('239.77.0.2', 7020)); print(told(s))
s.settimeout(0.3)
try: print(told(s))
except TimeoutError: print('once')
s.settimeout(2); time.sleep(0.3)
s.sendto(b'group', ('10.77.0.2', 7002)); print(told(s))
t = join(7020); s.sendto(b'group', ('10.77.0.2', 7002)); print(told(s), told(t))
s.close(); t.close()
""",
        b"(b'mine', 1, ('10.77.0.2', 7020))\nonce\n(b'group', 7, ('10.77.0.2', 7003))\n"
        b"(b'group', 7, ('10.77.0.2', 7003)) (b'group', 7, ('10.77.0.2', 7003))\n",
    ),
    case(
        "bound-to-an-interface",
        """
s = udp(S4); s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
s.sendto(b'x', ('239.77.0.1', 7002)); print(s.recvfrom(10))
""",
        b"(b'x', ('10.77.0.2', 7002))\n",
    ),
    case(
        "between-processes-of-the-tree",
        """
for host in '127.0.0.1', '::1', '10.77.0.2', 'fd00:77::2', '192.0.2.11':
    a = udp((host,)); a.bind(('::' if ':' in host else '', 7030))
    b = udp((host,)); b.sendto(b'x', (host, 7030)); data, peer = a.recvfrom(10)
    a.sendto(b'y', peer); print(data, b.recvfrom(10), peer[0]); a.close()
""",
        b"".join(
            b"b'x' (b'y', ('%b', 7030%b)) %b\n" % (host, b", 0, 0" if b":" in host else b"", host)
            for host in (b"127.0.0.1", b"::1", b"10.77.0.2", b"fd00:77::2", b"192.0.2.11")
        ),
    ),
    Case(
        "a-broadcast-that-nobody-asked-for",
        BOTH
        + """
s = udp(S4); s.bind(('', 7040)); s.settimeout(1)
udp(S4).sendto(b'shout', ('10.77.0.2', 7002))
try: print(s.recvfrom(100))
except TimeoutError: print('nothing')
""",
        server,
        NETWORK,
        limit="Broadcasts are received only on a port from which one was sent before.",
    ),
]
