"""The subcommands: one a file, and none imports another.

Takes  parsed options.
Gives  an exit status; what a person sees by views and frontends.
Never  parses a command line, or decodes.
"""
