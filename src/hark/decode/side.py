"""The two ends of a connection."""

from enum import IntEnum


class Side(IntEnum):
    """An end of a connection: who sent the bytes."""

    CLIENT = 0
    SERVER = 1

    @property
    def word(self) -> str:
        """ "client" or "server"."""
        return self.name.lower()

    @property
    def other(self) -> "Side":
        """The opposite end."""
        return Side(1 - self)
