"""TCP as the program sees it: options, addresses, endings."""

from faithful import Case

CASES = [
    Case(
        "a-refused-connection",
        "import socket; print(socket.socket().connect_ex(('127.0.0.1', 81)))",
        expect=b"111\n",
    ),
]
