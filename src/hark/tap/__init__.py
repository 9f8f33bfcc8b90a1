"""How to get at a program's bytes.

Takes  a command to run, what this kernel and user allow.
Gives  recorded blocks: frames, processes, losses; the program's exit status.
Never  knows what the bytes mean, imports a key source, or waits for a view.
"""
