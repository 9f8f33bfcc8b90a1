"""Secrets taken out of what leaves hark.

Takes  entries, messages, command lines, and a random salt.
Gives  the same with a mark instead of each secret. names.py: which names are those of secrets; shapes.py: tokens that
       their form tells; marks.py: marks, and what is known to be secret; urls.py, text.py, markup.py, command.py:
       where names and values stand; entry.py puts them together.
Never  a parser that may refuse: what is cut, invalid or hostile is searched as far as it goes, in linear time.
"""
