"""Bytes to meaning: packets, connections, TLS, HTTP. Sans-IO: no clock, no file, no socket.

Takes  recorded blocks, one at a time.
Gives  events: connections, TLS facts, heads, bodies, ends, troubles, in the order in which they became known.
Never  raises because of what a peer sent, keeps more than limits.py allows, or knows how bytes were reached.

decoder.py is the front door, channel.py the only file that knows the order of the stack, sniff.py holds every guess.
"""
