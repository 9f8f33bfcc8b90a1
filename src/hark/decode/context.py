"""What the layers of all connections of one decoder share.

May hold: the numbers of connections, TLS and QUIC sessions, caches. May not hold: packets, protocols.
"""

from hark.decode.headercache import HeaderCache
from hark.decode.sessions import Sessions


class Context:
    """One decoder's. indivisible: connections depend on each other, so the recording cannot be decoded in shares."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.cache = HeaderCache()
        self.indivisible = False
        self._numbers = 0

    def next_number(self) -> int:
        """The next TCP connection's number."""
        self._numbers += 1
        return self._numbers

    def inner_number(self) -> int:
        """The number of a connection that is no TCP connection: QUIC, or a tunnel in a stream."""
        self.indivisible = True
        return self.next_number()
