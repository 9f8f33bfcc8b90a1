"""Which module shows what: the options that show something, and the kinds of files that -o writes.

What   A name is a module of views/. One that an option asks for has `view(screen)`, one that writes a kind of file has
       `sink(file, version)`. A new view or kind of file is its module and its line here; an option of its own is a row
       in flags.py.
May hold: names. Nothing is imported before it is used.
"""

from __future__ import annotations

from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class Export(Record):
    """A kind of file that -o writes."""

    module: str
    redacted: bool  # whether secrets are hidden where neither --redact nor --no-redact was given


# What stands on the screen while things happen: the first whose option was given; "": none of them was.
LINES: Final = {"curl": "curl", "json": "entries", "": "terminal"}

# What is printed at the end, by option.
REPORTS: Final = {"waterfall": "waterfall", "summary": "summary"}

# Kinds of files of exchanges, by extension. (Packets, .pcapng, are no view: they are what is decoded.)
EXPORTS: Final = {
    "jsonl": Export("entries", redacted=False),
    "har": Export("har", redacted=False),
    "html": Export("page", redacted=True),  # made to be sent to others
}
