"""Says what becomes of one attempt to reach somebody, for tests of the tap.

usage: python network.py tcp|udp|group|local|ping|peers HOST PORT
"""

import errno
import os
import socket
import sys

what, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET


def tcp():
    try:
        with socket.create_connection((host, port), 5) as link:
            link.sendall(b"question")
            link.shutdown(socket.SHUT_WR)
            with link.makefile("rb") as answer:
                print(answer.read().decode(), link.getsockname()[0])
    except OSError as error:
        print(errno.errorcode[error.errno])


def udp():
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((host, port))
        for number in range(3):
            try:
                sock.send(b"question %d" % number)
                print(sock.recv(100).decode())
            except OSError as error:
                print(errno.errorcode[error.errno])


def group():
    """Joins a group on eth0, says so, and prints what the next datagram to it is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
        index = socket.if_nametoindex("eth0").to_bytes(4, sys.byteorder)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(host) + bytes(4) + index)
        data, sender = sock.recvfrom(100)
        print(data.decode(), sender[0])


def local():
    """A server and a client in one tree."""
    with socket.create_server((host, port), family=family) as server:
        if not os.fork():
            link = server.accept()[0]
            link.sendall(link.recv(100).upper())
            link.close()
            os._exit(0)
        with socket.create_connection((host, port), 5) as link:
            link.sendall(b"question")
            print(link.recv(100).decode())
    os.wait()


def ping():
    """One echo over a ping socket; the kernel puts the identifier in."""
    six = family == socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as sock:
        sock.settimeout(5)
        sock.connect((host, 0))
        sock.send(bytes([128 if six else 8, 0, 0, 0, 0, 0, 0, 23]) + b"data")
        answer = sock.recv(100)
        print("pong" if answer[0] == (129 if six else 0) and answer[8:] == b"data" else answer, answer[7])


def peers():
    """Asks two servers by one socket; both answers, then the socket's port."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        for number in range(2):
            sock.sendto(b"to %d" % (port + number), (host, port + number))
        print(*sorted(sock.recv(100).decode() for _ in range(2)), sock.getsockname()[1])


{"tcp": tcp, "udp": udp, "group": group, "local": local, "ping": ping, "peers": peers}[what]()
