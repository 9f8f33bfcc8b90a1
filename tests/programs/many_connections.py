import resource, socket, sys

resource.setrlimit(resource.RLIMIT_NOFILE, (11000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
socks = []
for n in range(int(sys.argv[1])):
    s = socket.create_connection(("192.0.2.10", 8080))
    socks.append(s)
for n, s in enumerate(socks):
    s.sendall(b"GET /hello?%d HTTP/1.1\r\nHost: many\r\n\r\n" % n)
good = 0
for s in socks:
    s.settimeout(20)
    data = b""
    while not data.endswith(b"hello\n"):
        data += s.recv(4096)
    good += data.startswith(b"HTTP/1.1 200")
print(good)
