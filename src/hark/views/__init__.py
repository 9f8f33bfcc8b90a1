"""How exchanges are told: terminal lines, JSON lines.

Takes  the book's changes, and the time now and then.
Gives  bytes for a terminal or a file.
Never  changes the model, sees a protocol's bytes, or lets a control byte of a peer through to a terminal.
"""
