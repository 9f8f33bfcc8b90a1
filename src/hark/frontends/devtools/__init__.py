"""hark as a Chrome DevTools Protocol server: a DevTools frontend shows every exchange live.

Takes  a feed of changes (views/feed.py), connections of frontends on loopback.
Gives  protocol events and answers; a URL for a person.
Never  answers who may not ask, keeps a body in memory, or reaches anything but its own sockets.
"""
