import contextlib, json, socket, ssl, sys, threading

rows = {name: (bytes.fromhex(sent), closes) for name, (sent, closes) in json.load(open(sys.argv[1])).items()}
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])


def serve(conn, pieces, secure):
    data = b""
    with contextlib.suppress(OSError), context.wrap_socket(conn, server_side=True) if secure else conn as conn:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            while b"\r\n\r\n" not in data:
                more = conn.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            sent, closes = rows[head.split()[1].decode().rpartition("/")[2]]
            for at in range(0, len(sent), pieces):
                conn.sendall(sent[at : at + pieces])
            if closes:
                if secure:
                    conn.settimeout(1)
                    conn.unwrap()
                return


def listen(port, *how):
    listener = socket.create_server(("192.0.2.10", port), backlog=100)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], *how), daemon=True).start()


port = int(sys.argv[2])
for number, how in enumerate([(65536, False), (1, False), (65536, True), (1, True)]):
    threading.Thread(target=listen, args=(port + number, *how)).start()
