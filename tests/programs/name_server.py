import select, socket, struct, sys

RECORDS = {
    "one.test": ["192.0.2.10", "2001:db8:1::10"],
    "my.host": ["192.0.2.10"],
    "myhost.corp.test": ["192.0.2.10"],
    "big.test": ["10.1.%d.%d" % (n // 200, n % 200 + 1) for n in range(300)],
    "both.test": ["8.8.8.8", "2001:4860:4860::8888"],
    "ula.test": ["8.8.4.4", "fd12::1"],
    "near.test": ["10.77.0.9", "2001:db8:77::9"],
    "sixtofour.test": ["10.78.0.9", "2002:a4d::1"],
}


def answer(query, most):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
        at += query[at] + 1
    (kind,) = struct.unpack_from("!H", query, at + 1)
    found = RECORDS.get(".".join(labels))
    packed = [
        socket.inet_pton(socket.AF_INET6 if kind == 28 else socket.AF_INET, text)
        for text in found or ()
        if (":" in text) == (kind == 28)
    ]
    records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(a)) + a for a in packed)
    whole = 12 + at - 7 + len(records) <= most
    flags = 0x8180 | (0 if found else 3) | (0 if whole else 0x200)
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(packed) if whole else 0, 0, 0)
    return head + query[12 : at + 5] + (records if whole else b"")


datagrams, listeners = [], []
for text in sys.argv[1:]:
    name = socket.getaddrinfo(text, 53, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    datagrams.append(socket.socket(name[0], socket.SOCK_DGRAM))
    datagrams[-1].bind(name[4])
    listeners.append(socket.socket(name[0]))
    listeners[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listeners[-1].bind(name[4])
    listeners[-1].listen()
print("ready", flush=True)
streams = []
while True:
    for s in select.select([*datagrams, *listeners, *streams], [], [])[0]:
        if s in datagrams:
            query, peer = s.recvfrom(4096)
            s.sendto(answer(query, 512), peer)
        elif s in listeners:
            streams.append(s.accept()[0])
        else:
            head = s.recv(2, socket.MSG_WAITALL)
            if len(head) == 2:
                out = answer(s.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL), 65535)
                s.sendall(struct.pack("!H", len(out)) + out)
            else:
                streams.remove(s)
                s.close()
