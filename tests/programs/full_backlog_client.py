import socket, time

first = socket.create_connection(("192.0.2.10", 7961))
queued = [socket.create_connection(("192.0.2.10", 7961))]
for _ in range(3):
    s = socket.socket()
    s.settimeout(0.3)
    try:
        s.connect(("192.0.2.10", 7961))
    except TimeoutError:
        print("timed out")
    else:
        queued.append(s)
        continue
    s.close()
    break
first.close()
for s in queued:
    s.close()
time.sleep(2)
