"""Processes and sockets for people: Chrome DevTools, the terminal browser, others who watch a run.

Takes  a feed of changes (views/feed.py).
Gives  what they show; files that a person saves.
Never  decodes, or slows the program or the decoder down.
"""
