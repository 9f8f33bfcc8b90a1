"""A full-screen terminal browser for exchanges (Textual).

Takes  lines of a feed (views/feed.py), keys of a person.
Gives  a live list, details, commands to copy, files to save.
Never  keeps bodies in memory, or lets a peer's bytes act on the terminal.
"""
