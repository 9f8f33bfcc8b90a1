"""Protocols: recorded blocks to events. Sans-IO: no clock, no file, no socket.

Takes  recorded blocks, one at a time.
Gives  events: connections, TLS sessions, heads, bodies, ends, troubles, in the order in which they became known.
Never  raises because of what a peer sent, keeps more than limits.py allows, or knows how the bytes were captured.

decoder.py is the entry point, channel.py alone knows the order of the stack, sniff.py detects protocols.
"""
