"""A client that asks at a steady pace over kept-alive connections and prints the latencies' median in microseconds.

usage: paced.py HOST PORT CONNECTIONS REQUESTS INTERVAL_US
"""

import socket
import sys
import time

host, port, connections, requests, interval = sys.argv[1], *map(int, sys.argv[2:6])
socks = [socket.create_connection((host, port)) for _ in range(connections)]
for sock in socks:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
question = b"GET /hello HTTP/1.1\r\nHost: bench\r\n\r\n"
taken = []
due = time.perf_counter()
for number in range(requests):
    sock = socks[number % connections]
    due += interval / 1e6
    time.sleep(max(due - time.perf_counter(), 0))
    begun = time.perf_counter()
    sock.sendall(question)
    answer = b""
    while not answer.endswith(b"hello\n"):
        answer += sock.recv(4096)
    taken.append(time.perf_counter() - begun)
taken.sort()
print(round(taken[len(taken) // 2] * 1e6))
