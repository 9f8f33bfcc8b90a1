import select, socket, struct, sys, time


def udp(address, port, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
    else:
        s.setsockopt(socket.IPPROTO_IP, 12, 1)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    s.bind((address, port))
    return s


four, other, third = udp("192.0.2.10", 7000), udp("192.0.2.10", 7001), udp("192.0.2.11", 7000)
six, six_other, six_third = (
    udp(a, p, socket.AF_INET6)
    for a, p in (("2001:db8:1::10", 7000), ("2001:db8:1::10", 7001), ("2001:db8:1::11", 7000))
)
all4, all6 = udp("", 7002), udp("", 7002, socket.AF_INET6)
index = socket.if_nametoindex("eth0")
for group in ("239.77.0.1", "224.0.0.251"):
    all4.setsockopt(
        socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("=4s4si", socket.inet_aton(group), bytes(4), index)
    )
all6.setsockopt(
    socket.IPPROTO_IPV6,
    socket.IPV6_JOIN_GROUP,
    socket.inet_pton(socket.AF_INET6, "ff02::77") + struct.pack("=I", index),
)
speak = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
speak.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
speak.bind(("10.77.0.2", 7003))
speak.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 7)
print("ready", flush=True)
while True:
    for s in select.select([four, other, third, six, six_other, six_third, all4, all6], [], [])[0]:
        data, notes, _, peer = s.recvmsg(65535, 200)
        out = s
        if data == b"port":
            out = six_other if s is six else other
        elif data == b"address":
            out = six_third if s is six else third
        elif data == b"who":
            data = repr(peer[:2]).encode()
        elif data == b"look":
            data = repr(sorted(n[0] for _, _, n in notes)).encode()
        elif data == b"shout":
            peer = ("10.77.0.255", 7040)
        elif data == b"marked":
            out = socket.socket(s.family, socket.SOCK_DGRAM)
            for option, value in ((16, 33), (67, 2)) if s is six else ((2, 33), (1, 2)):
                out.setsockopt(41 if s is six else 0, option, value)
        elif data == b"group":
            out, peer = speak, ("239.77.0.2", peer[1])
        out.sendto(data, peer)
