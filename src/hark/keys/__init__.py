"""Where TLS secrets come from: each source is an environment or a hook for the program, and a reader for the
capture process.

Takes  the program's environment.
Gives  changes to it; key log lines with the process that gave them.
Never  touches a connection, decides whether a line is useful, or breaks the program: every source fails open.
"""
