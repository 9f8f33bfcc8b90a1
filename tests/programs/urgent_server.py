import socket

l = socket.create_server(("192.0.2.10", 7013))
while True:
    c, _ = l.accept()
    data = b""
    import select

    urgent = b""
    while True:
        r, _, x = select.select([c], [], [c] if not urgent else [], 3)
        if x:
            urgent = c.recv(1, socket.MSG_OOB)
        elif r:
            d = c.recv(4096)
            if not d:
                break
            data += d
        else:
            break
    c.sendall(data + b"|" + urgent)
    c.close()
