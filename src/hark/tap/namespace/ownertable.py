"""The shape of the table of files' owners, which the tapper writes (hostside.py) and the tree maps (host.c)."""

ENTRIES = 1 << 14
HEADER = 64  # bytes; the number of the tree's user namespace is first
ENTRY = 5  # words of 8 bytes: dev, ino, ctime, owner, check
BYTES = HEADER + ENTRIES * ENTRY * 8
