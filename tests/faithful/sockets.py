"""TCP as the program sees it, and as the server sees the program: options, addresses, endings."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from faithful import Case, made_by_root
from world import program

# Says of each connection what its SYN looked like, then answers requests of one line.
SERVER = program("socket_servers.py")
HEAD = program("socket_head.py")


@contextlib.contextmanager
def server(world: Any) -> Iterator[None]:
    """The server on 0.0.0.0:7030, [::1]:7031 and [2001:db8:1::10]:7032."""
    process = world.start([sys.executable, "-c", SERVER, str(world.dir / "home" / "vanish")])
    world.wait_for("2001:db8:1::10", 7032)
    yield
    process.kill()
    process.wait()


@contextlib.contextmanager
def vanishing(world: Any) -> Iterator[None]:
    """The server, to which no packet finds its way any more after it has been asked to `vanish`."""
    sign = world.dir / "home" / "vanish"
    sign.unlink(missing_ok=True)
    over = threading.Event()

    def rule(verb: str) -> None:
        words = f"ip rule {verb} pref 5 to 192.0.2.10 ipproto tcp dport 7030 blackhole"
        subprocess.run([*(world.prefix[:4] if world.root else world.prefix), *words.split()], check=True, timeout=10)

    def watch() -> None:
        while not over.wait(0.02):
            if sign.exists():
                time.sleep(0.1)
                rule("add")
                return

    thread = threading.Thread(target=watch)
    thread.start()
    with server(world):
        yield
    over.set()
    thread.join()
    if sign.exists():
        rule("del")


def case(name: str, program: str, around: Any = server, **more: Any) -> Case:
    """A case with the server around it and HEAD in front of it."""
    return Case(name, HEAD + program, around, **more)


CASES = [
    Case(
        "a-refused-connection",
        "import socket; print(socket.socket().connect_ex(('127.0.0.1', 81)))",
        expect=b"111\n",
    ),
    case(
        "header-fields-set-before-the-connect",
        """
SYN = {"plain": (), "tos": ((IP, socket.IP_TOS, 0xB8),), "ttl": ((IP, socket.IP_TTL, 9),), "mss": ((TCP, socket.TCP_MAXSEG, 900),),
  "df": ((IP, 10, 0),), "receive buffer": ((SOCK, socket.SO_RCVBUF, 8192),), "large": ((SOCK, socket.SO_RCVBUF, 200000),),
  "all": ((IP, socket.IP_TOS, 32), (IP, socket.IP_TTL, 77), (TCP, socket.TCP_MAXSEG, 536), (SOCK, socket.SO_RCVBUF, 5000))}
for what, options in SYN.items(): print(what, ask(connect(*options), "syn"))
SIXES = {"plain": (), "class": ((SIX, socket.IPV6_TCLASS, 0x48),), "hops": ((SIX, socket.IPV6_UNICAST_HOPS, 3),),
  "mss": ((TCP, socket.TCP_MAXSEG, 1000),)}
for to in (("2001:db8:1::10", 7032), ("::1", 7031)):
    for what, options in SIXES.items(): print(to, what, ask(connect(*options, to=to), "syn"))
""",
    ),
    case(
        "type-of-service-changed-on-the-way",
        """
for to, option in ((("192.0.2.10", 7030), (IP, socket.IP_TOS)), (("2001:db8:1::10", 7032), (SIX, socket.IPV6_TCLASS))):
    s = connect(to=to)
    for tos in (0, 0x10, 0xB8, 0x28, 0):
        s.setsockopt(*option, tos); print(to, tos, ask(s, "tos"), ask(s, "tos"))
""",
    ),
    case(
        "what-the-program-reads-back",
        """
OPTIONS = {"keepalive": (SOCK, socket.SO_KEEPALIVE, 1), "idle": (TCP, socket.TCP_KEEPIDLE, 7), "interval": (TCP, socket.TCP_KEEPINTVL, 3),
  "count": (TCP, socket.TCP_KEEPCNT, 4), "user timeout": (TCP, 18, 12345), "tos": (IP, socket.IP_TOS, 0x20), "ttl": (IP, socket.IP_TTL, 33),
  "nodelay": (TCP, socket.TCP_NODELAY, 1), "priority": (SOCK, socket.SO_PRIORITY, 3), "mss": (TCP, socket.TCP_MAXSEG, 1200)}
for when in ("before", "after"):
    s = connect(*(OPTIONS.values() if when == "before" else ()))
    if when == "after":
        for option in OPTIONS.values(): s.setsockopt(*option)
    time.sleep(0.15)
    for what, (level, option, _) in OPTIONS.items():
        if what != "mss": print(when, what, s.getsockopt(level, option))
    print(s.getsockopt(TCP, socket.TCP_CONGESTION, 16), ask(s, "still there"))
""",
    ),
    case(
        "a-vanished-server",
        """
def lost(what, options, late=(), write=b""):
    s = connect(*options); s.settimeout(None)
    for option in late: s.setsockopt(*option)
    socks.append((what, s, write))
def watch(what, s, write):
    start = time.monotonic()
    try:
        if write: s.sendall(write)
        got = repr(s.recv(10))
    except OSError as error: got = name(error)
    said[what] = (got, round(time.monotonic() - start, 1))
alive = (SOCK, socket.SO_KEEPALIVE, 1)
quick = (alive, (TCP, socket.TCP_KEEPIDLE, 1), (TCP, socket.TCP_KEEPINTVL, 1), (TCP, socket.TCP_KEEPCNT, 2))
socks, said = [], {}
lost("keepalive", quick)
lost("keepalive, set late", (), quick)
lost("user timeout", ((TCP, 18, 1500),), write=b"more")
lost("user timeout, set late", (), ((TCP, 18, 1500),), write=b"more")
lost("keepalive and user timeout", (*quick, (TCP, 18, 2500)))
time.sleep(0.2)
for _, s, _ in socks[:-1]: ask(s, "here")
ask(socks[-1][1], "vanish")
time.sleep(0.3)
threads = [threading.Thread(target=watch, args=one) for one in socks]
for thread in threads: thread.start()
for thread in threads: thread.join(15)
LIMITS = {"keepalive": (2, 4.5), "keepalive, set late": (2, 4.5), "user timeout": (1.2, 4), "user timeout, set late": (1.2, 4),
  "keepalive and user timeout": (1.5, 5)}
for what, (got, seconds) in sorted(said.items()): print(what, got, "in time" if LIMITS[what][0] < seconds < LIMITS[what][1] else seconds)
""",
        around=made_by_root(vanishing),
        network="ip rule add pref 10 lookup local; ip rule del pref 0",  # so that a rule can stand in front of it
        expect=b"".join(
            what + b" ETIMEDOUT in time\n"
            for what in (
                b"keepalive",
                b"keepalive and user timeout",
                b"keepalive, set late",
                b"user timeout",
                b"user timeout, set late",
            )
        ),
    ),
    case(
        "keepalive-with-a-server-that-is-there",
        """
s = connect((SOCK, socket.SO_KEEPALIVE, 1), (TCP, socket.TCP_KEEPIDLE, 1), (TCP, socket.TCP_KEEPINTVL, 1), (TCP, socket.TCP_KEEPCNT, 1))
print(ask(s, "one")); time.sleep(3.4); print(ask(s, "two"), select.select([s], [], [], 0)[0])
""",
        soak=True,
    ),
    case(
        "own-addresses",
        """
for bind in (None, ("192.0.2.10", 0), ("192.0.2.10", 40123), ("127.0.0.1", 40124), ("0.0.0.0", 40125), ("127.0.0.7", 0)):
    for to in (("192.0.2.10", 7030), ("127.0.0.1", 7030), ("127.0.0.9", 7030)):
        try: s = connect(to=to, bind=bind)
        except OSError as error: print(bind, to, name(error)); continue
        own, seen = s.getsockname()[:2], ask(s, "peer")
        print(bind, to, own[0], str(own) == seen, s.getpeername(), own[1] if bind and bind[1] else "")
        s.setsockopt(SOCK, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()
for bind in (None, ("2001:db8:1::10", 0), ("::1", 40126), ("::", 40127)):
    for to in (("::1", 7031), ("2001:db8:1::10", 7032), ("2001:db8:1::10", 7031)):
        try: s = connect(to=to, bind=bind)
        except OSError as error: print(bind, to, name(error)); continue
        own, seen = s.getsockname()[:2], ask(s, "peer")
        print(bind, to, own[0], str(own) == seen, s.getpeername()[:2], own[1] if bind and bind[1] else "")
        s.setsockopt(SOCK, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()
for bind in (("192.0.2.99", 0), ("2001:db8::99", 0)):
    try: connect(bind=bind, to=("2001:db8:1::10", 7032) if ":" in bind[0] else ("192.0.2.10", 7030))
    except OSError as error: print(bind, name(error))
""",
    ),
    case(
        "bound-to-an-interface",
        """
for device in (b"eth9", b"nosuch9"):
    for to in (("192.0.2.10", 7030), ("127.0.0.1", 7030), ("198.51.100.9", 80)):
        s = socket.socket(); s.settimeout(0.3)
        try:
            s.setsockopt(SOCK, socket.SO_BINDTODEVICE, device); s.connect(to)
            print(device, to, ask(s, "hello"), s.getsockname()[0])
        except OSError as error: print(device, to, type(error).__name__, error.errno)
""",
        network="ip tuntap add eth9 mode tap; ip addr add 192.0.2.66/32 dev eth9; ip link set eth9 arp off up",
    ),
    case(
        "a-server-of-ones-own-by-the-hosts-addresses",
        """
def serve(listener):
    while True:
        c, peer = listener.accept(); c.sendall(str(peer[0]).encode()); c.close()
def reach(to):
    try:
        s = socket.create_connection(to, 3); own = s.getsockname()[0]; seen = s.recv(100).decode()
        return own, own == seen, s.getpeername()[0]
    except OSError as error: return name(error)
for family, host, port in ((socket.AF_INET, "0.0.0.0", 7040), (socket.AF_INET6, "::", 7041), (socket.AF_INET, "192.0.2.10", 7042),
  (socket.AF_INET, "127.0.0.1", 7043), (socket.AF_INET6, "::1", 7044), (socket.AF_INET6, "2001:db8:1::10", 7045)):
    listener = socket.socket(family); listener.setsockopt(SOCK, socket.SO_REUSEADDR, 1)
    listener.bind((host, port)); listener.listen()
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    for to in ("192.0.2.10", "127.0.0.1", "127.0.0.2", "::1", "2001:db8:1::10", "::ffff:192.0.2.10"): print(host, to, reach((to, port)))
""",
    ),
    case(
        "the-hosts-own-loopback",
        """
for to in (("::1", 7031), ("::1", 7039), ("127.0.0.1", 7030), ("127.0.0.1", 7031), ("127.0.0.1", 7039), ("::1", 8083), ("127.0.0.1", 8083)):
    try:
        s = connect(to=to); print(to, ask(s, "hello") if to[1] < 8000 else s.getpeername(), s.getsockname()[0])
    except OSError as error: print(to, name(error))
""",
    ),
    case(
        "a-reset-behind-bytes",
        """
for _ in range(5):
    s = connect(); s.sendall(b"rst\\n"); got = 0
    try:
        while True:
            data = s.recv(65536)
            if not data: print("clean end"); break
            got += len(data)
    except OSError as error: print(name(error))
    print(got)
""",
        expect=b"ECONNRESET\n70000\n" * 5,
    ),
    case(
        "resets-and-half-closes-as-the-server-sees-them",
        """
# The server of this one is the program's own child, outside: it says by a file how each connection ended.
def how(*words): return ask(connect(to=("192.0.2.10", 7050)), " ".join(words))
def reset(s): s.setsockopt(SOCK, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()
def settle(key):
    for _ in range(100):
        answer = how("how", key)
        if answer != "?": return answer
        time.sleep(0.03)
s = connect(to=("192.0.2.10", 7050)); ask(s, "key a"); reset(s); print("idle reset", settle("a"))
s = connect(to=("192.0.2.10", 7050)); ask(s, "key b"); s.sendall(b"z" * 100000); reset(s); print("reset behind bytes", settle("b").split()[0])
s = connect(to=("192.0.2.10", 7050)); ask(s, "key c"); s.sendall(b"z" * 100000); s.close(); print("end behind bytes", settle("c"))
s = connect(to=("192.0.2.10", 7050)); ask(s, "key d"); s.sendall(b"talk\\n"); time.sleep(0.1); s.close(); print("closed with unread data", settle("d").split()[0])
s = connect(to=("192.0.2.10", 7050)); ask(s, "key e"); s.sendall(b"tail"); s.shutdown(socket.SHUT_WR)
got = b""
while True:
    data = s.recv(100)
    if not data: break
    got += data
print("half-close", got, settle("e"))
import os, signal
child = os.fork()
if not child:
    s = connect(to=("192.0.2.10", 7050)); ask(s, "key f"); s.sendall(b"talk\\n"); time.sleep(0.1); os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0); print("killed with unread data", settle("f").split()[0])
child = os.fork()
if not child:
    s = connect(to=("192.0.2.10", 7050)); ask(s, "key g"); os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0); print("killed", settle("g"))
""",
        around=lambda world: endings(world),
    ),
    case(
        "a-reset-as-soon-as-connected",
        """
said = set()
for _ in range(40):
    s = socket.socket()
    try: s.connect(("192.0.2.10", 7051)); how = "connected, "
    except OSError as error: said.add(name(error)); continue
    try: said.add(how + repr(s.recv(10)))
    except OSError as error: said.add(how + name(error))
print(said)
""",
        around=lambda world: endings(world),
    ),
    case(
        "a-connect-given-up",
        """
for _ in range(3):
    s = socket.socket(); s.bind(("0.0.0.0", 0)); s.settimeout(0.15)
    try: print(s.connect(("203.0.113.1", 80)))
    except OSError as error: print(type(error).__name__)
    s.close()
s = socket.socket(); s.setsockopt(TCP, socket.TCP_SYNCNT, 1); start = time.monotonic()
try: s.connect(("203.0.113.1", 80))
except OSError as error: print(name(error), round(time.monotonic() - start))
""",
        soak=True,
    ),
]

# Keeps how each connection ended, by the key that it gave; "how KEY" asks for it.
ENDINGS = program("socket_endings.py")


@contextlib.contextmanager
def endings(world: Any) -> Iterator[None]:
    """The server that keeps how its connections ended."""
    process = world.start([sys.executable, "-c", ENDINGS])
    world.wait_for("192.0.2.10", 7050)
    yield
    process.kill()
    process.wait()
    time.sleep(0.05)
