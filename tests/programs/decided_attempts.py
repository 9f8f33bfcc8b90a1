import errno, socket, urllib.request


def meets(do):
    try:
        return do()
    except OSError as e:
        e = getattr(e, "reason", e)
        return errno.errorcode.get(getattr(e, "errno", 0) or 0, repr(e))


def datagram(data):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect(("192.0.2.10", 7009))
    s.send(data)
    return s.recv(100).decode()


url = "http://192.0.2.10:8080/hello"
print(meets(lambda: urllib.request.urlopen(url).read().decode().strip()))
print(meets(lambda: socket.create_connection(("192.0.2.10", 8443), 5)))
print(meets(lambda: urllib.request.urlopen(url, b"posted").read()))
print(meets(lambda: datagram(b"yes")), meets(lambda: datagram(b"no")))
