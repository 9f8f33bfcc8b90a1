"""What a tap gives to key sources where they are built."""


class Place:
    """What the tap has made in the child, between fork and exec. private: a directory that only the program's tree
    sees, and that is gone with it; "" where there is none."""

    __slots__ = ("private",)

    def __init__(self, private: str) -> None:
        self.private = private
