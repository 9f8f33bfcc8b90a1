"""hark with a plan that asks for the helper in the namespaces, and a tap that serves http://127.0.0.1:80/ inside with a
socket of it, which hark itself could not make: to show how the next tap uses it.

usage: python insidehelper.py HARK-ARGUMENTS...
"""

import socket
import sys

import hark.plan
from hark.cli import main
from hark.tap.loop import IN
from hark.tap.namespace.tap import NamespaceTap


def plan(facts, usual=hark.plan.plan):
    made = usual(facts)
    made.helper = "port 80 is served no more"
    return made


class Serving(NamespaceTap):
    """The tap, and a server in it."""

    def __init__(self, files, network, loop, *more):
        super().__init__(files, network, loop, *more)
        self.listener = self.helper.socket(socket.AF_INET, socket.SOCK_STREAM, address=("127.0.0.1", 80), backlog=8)
        self.loop = loop
        loop.add(self.listener.fileno(), IN, self.accept)

    def accept(self, event):
        client = self.listener.accept()[0]  # its request is carried by this same loop: not to be waited for
        self.loop.add(client.fileno(), IN, lambda event: self.answer(client))

    def answer(self, client):
        self.loop.remove(client.fileno())
        with client:
            client.recv(4096)
            client.sendall(b"HTTP/1.0 200 OK\r\n\r\nfrom inside\n")


hark.plan.plan = plan
sys.modules["hark.tap.namespace.tap"].NamespaceTap = Serving
sys.exit(main(sys.argv[1:]))
