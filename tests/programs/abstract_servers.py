import array, os, select, socket, struct

kinds = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET, "dgram": socket.SOCK_DGRAM}
servers = []
for name, kind in kinds.items():
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind(f"\0hark-test-{name}")
    if kind != socket.SOCK_DGRAM:
        server.listen()
    servers.append(server)
while True:
    for server in select.select(servers, [], [])[0]:
        if server.type == socket.SOCK_DGRAM:
            data, peer = server.recvfrom(100)
            server.sendto(b"datagram " + data, peer)
            continue
        one, _ = server.accept()
        pid, uid, gid = struct.unpack("iII", one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        data, fds, _, _ = socket.recv_fds(one, 100, 2)
        said = os.read(fds[0], 100) if fds else b"nothing"
        one.sendall(b"%d %d %s %s" % (data.split()[0] == str(pid).encode(), uid, data.split()[1], said))
        one.close()
