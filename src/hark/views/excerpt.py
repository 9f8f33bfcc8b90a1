"""As much of a text as fits on a screen, and how much more there is."""

from collections.abc import Sequence

from hark.views.view import plural, size

ROWS = 50  # rows of a screen that one body or message takes at -vv
_COLUMNS = 120  # of a row, if the width is not known


def screenful(lines: Sequence[str], width: int = 0) -> tuple[list[str], str]:
    """(the lines that fit, of which the last may be cut; how much is left out in words, "" for nothing). width: of the
    screen in columns, 0 if it is not known; a longer line takes several rows."""
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
