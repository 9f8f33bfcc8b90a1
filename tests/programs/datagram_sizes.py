import socket, time

for size in (0, 1, 1200, 1472, 1473, 9000, 65507):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(3)
    data = bytes(i & 255 for i in range(size))
    for attempt in range(50):
        s.sendto(data, ("192.0.2.10", 7007))
        try:
            got, sender = s.recvfrom(65535)
            break
        except (socket.timeout, ConnectionRefusedError):
            time.sleep(0.1)
    assert got == data[::-1] and sender == ("192.0.2.10", 7007), (size, len(got), sender)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect(("192.0.2.10", 7008))
s.send(b"x")
try:
    s.recv(1)
    print("?")
except ConnectionRefusedError:
    print("refused")
