"""As much of a text as fits on a screen, and how much more there is.

May hold: cutting and counting. May not hold: what the text is, or how it is marked and coloured.
"""

from collections.abc import Sequence

from hark.views.view import plural, size

ROWS = 50  # rows of a screen that one body or message takes at -vv
_COLUMNS = 120  # of a row, where nothing says how many there are


def screenful(lines: Sequence[str], width: int = 0) -> tuple[list[str], str]:
    """(the lines that fit, the last of them perhaps cut; what is left out in words, "" where nothing is). width: of the
    screen in columns, beyond which a line takes further rows; 0: not known."""
    width = width or _COLUMNS
    kept: list[str] = []
    rows = ROWS
    for at, line in enumerate(lines):
        if not rows:
            return kept, plural(len(lines) - at, "more line")
        taken = max(-(-len(line) // width), 1)
        if taken > rows:
            kept.append(f"{line[: rows * width - 1]}…")
            rest, after = len(line) - rows * width + 1, len(lines) - at - 1
            more = f"{size(rest)} more of this line"
            return kept, f"{more}, {plural(after, 'more line')}" if after else more
        rows -= taken
        kept.append(line)
    return kept, ""
