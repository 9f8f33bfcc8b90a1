"""What a tap gives to key sources where they are built."""


class Place:
    """What the tap has made in the child, between fork and exec. private: a directory that only the program's tree
    sees, and that is gone with it; "" where there is none, and `refused` says why."""

    __slots__ = ("private", "refused")

    def __init__(self, private: str, refused: OSError | None = None) -> None:
        self.private = private
        self.refused = refused
