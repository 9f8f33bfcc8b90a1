"""Output: terminal lines, JSON lines, HAR, reports.

Takes  the book's changes; a few times a second the time.
Gives  bytes for a terminal, a file or a pipe.
Never  changes the model, handles a protocol's bytes, or passes a control byte of a peer to a terminal.
"""
