"""The only door between taps and the decoder: an append-only stream of pcapng blocks.

Takes  frames, secrets, processes and notes from taps and key sources.
Gives  the same, in order, live through a shared ring or later from a file.
Never  knows what the bytes mean, loses a block silently, or grows without bound.
"""
