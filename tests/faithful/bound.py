"""What needs a privilege, or ties a socket to one interface or address: what is refused, and what is reached."""

from faithful.sockets import case

BOUND_SERVERS = """
for family, host, port in ((socket.AF_INET, "127.0.0.1", 7046), (socket.AF_INET, "0.0.0.0", 7047), (socket.AF_INET6, "::1", 7048), (socket.AF_INET6, "::", 7049)):
    for bound in (%s,):
        listener = socket.socket(family); listener.setsockopt(SOCK, socket.SO_REUSEADDR, 1)
        if bound: listener.setsockopt(SOCK, socket.SO_BINDTODEVICE, b"lo")
        listener.bind((host, port)); listener.listen()
        for to in ("127.0.0.1", "192.0.2.10") if family == socket.AF_INET else ("::1", "2001:db8:1::10"):
            for device in (b"", b"lo"):
                s = socket.socket(family); s.settimeout(3); s.setsockopt(SOCK, socket.SO_BINDTODEVICE, device)
                try: s.connect((to, port)); t, peer = listener.accept(); t.sendall(b"hello"); print(host, bound, to, device, s.recv(9), peer[0]); t.close()
                except OSError as error: print(host, bound, to, device, type(error).__name__, error.errno)
                s.close()
        listener.close()
"""

CASES = [
    case(
        "mark",  # SO_MARK is for who may administer the network (CAP_NET_ADMIN)
        """
for family in (socket.AF_INET, socket.AF_INET6):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for value in (0, 7, 1 << 31):
            s = socket.socket(family, kind)
            try: s.setsockopt(SOCK, 36, struct.pack("I", value)); how = "set"
            except OSError as error: how = name(error)
            print(int(family), int(kind), value, how, s.getsockopt(SOCK, 36))
s = connect()
try: s.setsockopt(SOCK, 36, 7)
except OSError as error: print(name(error))
print(ask(s, "still there"))
""",
    ),
    case(
        "other-options-that-are-privileged",
        """
FORCE = {"receive buffer": (SOCK, 33, 1 << 22), "send buffer": (SOCK, 32, 1 << 22), "priority": (SOCK, socket.SO_PRIORITY, 7),
  "transparent": (IP, 19, 1), "debug": (SOCK, socket.SO_DEBUG, 1), "raw checksum": (SIX, 7, 2), "repair": (TCP, 19, 1)}
for what, (level, option, value) in FORCE.items():
    s = socket.socket(socket.AF_INET6 if level == SIX else socket.AF_INET)
    try: s.setsockopt(level, option, value); print(what, "set", s.getsockopt(level, option))
    except OSError as error: print(what, name(error))
for family, kind in ((socket.AF_INET, socket.SOCK_RAW), (socket.AF_INET6, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW)):
    try: socket.socket(family, kind, socket.IPPROTO_ICMP); print(int(family), "open")
    except OSError as error: print(int(family), name(error))
""",
    ),
    case(
        "bound-to-lo",
        """
for to in (("127.0.0.1", 7030), ("127.0.0.7", 7030), ("192.0.2.10", 7030), ("::1", 7031), ("2001:db8:1::10", 7032), ("127.0.0.1", 7039),
  ("::1", 7039), ("198.51.100.9", 80)):
    s = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET); s.settimeout(0.4)
    try:
        s.setsockopt(SOCK, socket.SO_BINDTODEVICE, b"lo"); s.connect(to)
        print(to, ask(s, "hello"), s.getsockname()[0], s.getsockopt(SOCK, socket.SO_BINDTODEVICE, 16))
    except OSError as error: print(to, type(error).__name__, error.errno)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(SOCK, socket.SO_BINDTODEVICE, b"lo"); s.settimeout(2)
s.sendto(bytes.fromhex("123401000001000000000000") + b"\\4site\\4test\\0" + bytes.fromhex("00010001"), ("127.0.0.53", 53))
print(s.recv(500)[-4:])
""",
    ),
    case("a-server-of-ones-own-by-a-socket-bound-to-lo", BOUND_SERVERS % "False"),
    case("a-server-bound-to-lo", BOUND_SERVERS % "True", limit="A server that is bound to `lo`"),
    case(
        "a-global-address-talks-to-the-loopback",
        """
for bind, to in ((("2001:db8:1::10", 0), ("::1", 7031)), (("2001:db8:1::10", 40128), ("::1", 7031)), (("2001:db8:1::10", 0), ("::1", 7039)),
  (("::1", 0), ("2001:db8:1::10", 7032)), (("192.0.2.10", 0), ("127.0.0.1", 7030))):
    s = None
    try:
        s = connect(to=to, bind=bind)
        own = s.getsockname()[:2]
        print(bind, to, own[0], str(own) == ask(s, "peer"), s.getpeername()[:2], own[1] if bind[1] else "")
        s.setsockopt(SOCK, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()
    except OSError as error: print(bind, to, type(error).__name__, error.errno)
""",
    ),
]
