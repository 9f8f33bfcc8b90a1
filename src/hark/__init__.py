"""hark: run a command and hear every HTTP exchange it makes, live and decrypted, without root.

Takes  a command line, or a recording.
Gives  the exchanges that the command and its children made.
Never  changes what the command does.
"""

__version__ = "0.1.0"
