"""Exchanges, connections, processes and failures.

Takes  the decoder's events.
Gives  changes: an exchange began or ended, a connection failed …
Never  decodes a protocol, prints, uses the clock, the file system or the network, or keeps an exchange that has ended.
"""
