import contextlib, errno, select, socket, struct, sys, threading, time


def connect(*options, to=("192.0.2.10", 7030), bind=None):
    s = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET)
    for option in options:
        s.setsockopt(*option)
    if bind:
        s.bind(bind)
    s.connect(to)
    s.settimeout(20)
    return s


def ask(s, word):
    s.sendall(word.encode() + b"\n")
    data = b""
    while not data.endswith(b"\n"):
        data += s.recv(1000)
    return data.decode().strip()


def name(error):
    return errno.errorcode[error.errno]


TCP, IP, SIX, SOCK = socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.SOL_SOCKET
