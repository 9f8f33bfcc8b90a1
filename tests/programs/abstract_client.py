import os, socket

for name, kind in (("stream", socket.SOCK_STREAM), ("seqpacket", socket.SOCK_SEQPACKET)):
    s = socket.socket(socket.AF_UNIX, kind)
    s.settimeout(5)
    s.connect(f"\0hark-test-{name}")
    r, w = os.pipe()
    os.write(w, b"through a pipe")
    socket.send_fds(s, [b"%d hello" % os.getpid()], [r])
    print(s.recv(100), os.get_inheritable(s.fileno()))
d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
d.settimeout(5)
d.bind("\0hark-test-client")
d.sendto(b"x", "\0hark-test-dgram")
print(d.recv(100))
for name in ("\0hark-test-nobody", "/nowhere", "\0hark-test-stream"):
    try:
        socket.socket(socket.AF_UNIX).bind(name) if "stream" in name else socket.socket(socket.AF_UNIX).connect(name)
    except OSError as error:
        print(error)
a = socket.socket(socket.AF_UNIX)
a.bind("\0hark-test-own")
a.listen()
b = socket.socket(socket.AF_UNIX)
b.connect("\0hark-test-own")
b.sendall(b"inside")
print(a.accept()[0].recv(10))
os.close(0)
print(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK).fileno())
