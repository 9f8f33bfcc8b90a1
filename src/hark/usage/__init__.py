"""What hark says about itself: help screens, shell completion, the man page, the report for a bug.

Takes  the table of flags, and facts that stand beside it (exit statuses, environment variables).
Gives  text.
Never  is imported by `hark COMMAND`.
"""
