import socket, socketserver, struct, sys, threading


def syn(conn):
    raw = conn.getsockopt(socket.IPPROTO_TCP, 28, 256)  # TCP_SAVED_SYN
    four = raw[0] >> 4 == 4
    tos = raw[1] if four else (raw[0] << 4 | raw[1] >> 4) & 255
    tcp = raw[20:] if four else raw[40:]
    options, found = tcp[20 : (tcp[12] >> 4) * 4], {}
    while options and options[0]:
        if options[0] == 1:
            options = options[1:]
            continue
        found[options[0]] = options[2 : options[1]].hex()
        options = options[options[1] :]
    found.pop(8, None)  # timestamps
    return (
        f"tos={tos} ttl={raw[8] if four else raw[7]} df={raw[6] >> 6 if four else 1} window={tcp[14:16].hex()} {found}"
    )


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        conn = self.request
        four = conn.family == socket.AF_INET
        try:
            conn.setsockopt(*((0, 13, 1) if four else (41, 66, 1)))  # IP_RECVTOS, IPV6_RECVTCLASS
        except OSError:
            pass
        for line in self.rfile:
            word = line.strip().decode()
            if word == "syn":
                answer = syn(conn)
            elif word == "peer":
                answer = str(conn.getpeername()[:2])
            elif word == "tos":
                raw = conn.getsockopt(*((0, 9, 64) if four else (41, 6, 64)))  # IP_PKTOPTIONS, IPV6_2292PKTOPTIONS
                answer = str(
                    raw[12] if len(raw) == 13 else struct.unpack_from("i", raw, 16)[0] if len(raw) > 16 else raw
                )
            elif word == "rst":
                conn.sendall(b"x" * 70000)
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                conn.close()
                return
            elif word == "vanish":  # see vanishing()
                answer = "in a tenth of a second"
                open(sys.argv[1], "w").close()
            else:
                answer = word
            self.wfile.write(answer.encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


class Six(Server):
    address_family = socket.AF_INET6


for host, port in (("0.0.0.0", 7030), ("::1", 7031), ("2001:db8:1::10", 7032)):
    server = (Six if ":" in host else Server)((host, port), Handler)
    server.socket.setsockopt(socket.IPPROTO_TCP, 27, 1)  # TCP_SAVE_SYN
    threading.Thread(target=server.serve_forever).start()
