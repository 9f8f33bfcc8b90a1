"""What was heard, as things: exchanges, connections, processes.

Takes  the decoder's events.
Gives  changes: an exchange began, ended; what failed; counts.
Never  decodes, prints, asks the world anything, or keeps an exchange after its end was told.
"""
