"""The shape of the table of files' owners, which the capture process writes (hostside.py) and the program's
processes map (host.c)."""

ENTRIES = 1 << 14
HEADER = 64  # bytes; the number of the tree's user namespace is first
ENTRY = 5  # words of 8 bytes: dev, ino, ctime, owner, check
BYTES = HEADER + ENTRIES * ENTRY * 8
