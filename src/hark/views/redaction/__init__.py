"""Replaces secrets in the output by marks.

Takes  entries, messages, command lines, and a random salt.
Gives  the same with a mark in place of each secret. names.py: names of secrets; shapes.py: tokens that are recognized
       by their form; marks.py: marks, and known secrets; urls.py, text.py, markup.py, table.py, command.py: names and
       values in each notation; entry.py combines them.
Never  rejects input: text that is cut, invalid or hostile is searched as far as possible, in linear time.
"""
