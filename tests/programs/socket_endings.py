import errno, socket, socketserver, struct, threading, time

ended = {}


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        s, key, got = self.request, None, 0
        try:
            while True:
                data = s.recv(65536)
                if not data:
                    break
                if data.startswith(b"how "):
                    s.sendall(ended.get(data[4:].strip().decode(), "?").encode() + b"\n")
                    return
                if data.startswith(b"key "):
                    key = data[4:].strip().decode()
                    s.sendall(b"ok\n")
                    continue
                if data.startswith(b"talk"):
                    s.sendall(b"y" * 3000)
                got += len(data)
            if key == "e":
                s.sendall(b"to the end")
                time.sleep(0.1)
                s.sendall(b", and further")
            ended[key] = f"end {got}"
        except OSError as error:
            ended[key] = f"{errno.errorcode[error.errno]} {got}"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


def at_once():
    listener = socket.create_server(("192.0.2.10", 7051))
    while True:
        s, _ = listener.accept()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()


threading.Thread(target=at_once).start()
Server(("192.0.2.10", 7050), Handler).serve_forever()
