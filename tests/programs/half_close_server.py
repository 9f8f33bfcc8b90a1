import socket, struct

l = socket.create_server(("192.0.2.10", 7011))
while True:
    c, _ = l.accept()
    data = b""
    while True:
        d = c.recv(4096)
        if not d:
            break
        data += d
        if data == b"reset me":
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            break
    else:
        pass
    if data != b"reset me":
        c.sendall(data[::-1])
    c.close()
