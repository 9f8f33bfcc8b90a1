"""The browser's list: a header line and a line for each row, of which only those that are seen are drawn.

What   Status, method, URL and time always; type, process and size where the width allows, in this order.
"""

from typing import Any, ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from hark.frontends.ui.rows import Row, Rows
from hark.views.fitting import columns, fit


class Column(NamedTuple):
    """A column on the right. name: of a row's attribute; from_width: of the list, from which on it is shown."""

    name: str
    head: str
    width: int
    from_width: int
    left: bool = False  # aligned to the left


_COLUMNS = (
    Column("kind", "type", 10, 64),
    Column("size", "size", 7, 100),
    Column("time", "time", 8, 0),
    Column("process", "process", 16, 76, True),
)


class Listing(ScrollView, can_focus=True):
    """The exchanges, one a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move(-20)", show=False),
        Binding("pagedown", "move(20)", show=False),
        Binding("home,g", "move(-100000000)", show=False),
        Binding("end,G", "move(100000000)", show=False),
    ]
    cursor: reactive[int] = reactive(0)

    class Chosen(Message):
        """Another line is the chosen one."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self._rows = rows
        self.follow = True
        self.heads: Widget | None = None

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        shown = self._rows.shown
        return shown[self.cursor] if self.cursor < len(shown) else None

    def renew(self) -> None:
        """The rows have changed."""
        count = len(self._rows.shown)
        self.virtual_size = Size(0, count)
        last = max(count - 1, 0)
        if self.follow or self.cursor > last:
            self.cursor = last
            self._reveal()
        self.refresh()
        if self.heads is not None:
            self.heads.refresh()  # a scroll bar may have come

    def action_move(self, by: int) -> None:
        """Move the cursor; moving off the end stops following, moving onto it begins again."""
        last = max(len(self._rows.shown) - 1, 0)
        self.cursor = min(max(self.cursor + by, 0), last)
        self.follow = self.cursor == last
        self._reveal()

    def on_click(self, event: Any) -> None:
        """The line that was clicked at."""
        at = event.y + self.scroll_offset.y
        if at < len(self._rows.shown):
            self.cursor = at
            self.follow = False

    def watch_cursor(self) -> None:
        """Show it."""
        self.post_message(self.Chosen())
        self.refresh()

    def _reveal(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False)

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        at = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if at >= len(self._rows.shown):
            return Strip.blank(width)
        return _line(self._rows.shown[at], width, at == self.cursor, self.has_focus)


class Heads(Widget):
    """What the list's columns are."""

    def __init__(self, listing: Listing) -> None:
        super().__init__()
        self._listing = listing
        listing.heads = self

    def render_line(self, y: int) -> Strip:
        """The one line there is."""
        width = self._listing.scrollable_content_region.width
        left, right = f" {'status':>6} {'method':7} ", _right(width, None)
        room = max(width - len(left) - len(right) - 1, 0)
        return Strip([Segment(f"{left}{'URL':{room}} {right}", Style(dim=True))]).adjust_cell_length(self.size.width)


def _line(row: Row, width: int, chosen: bool, focus: bool) -> Strip:
    base = Style(reverse=chosen and focus, bold=chosen)
    color = "red" if row.bad else "green" if row.status[:1] == "2" else "cyan" if row.status[:1] == "3" else "default"
    left, right = f" {row.method[:7]:7} ", _right(width, row)
    room = max(width - len(right) - len(left) - 8, 10)
    url = fit(row.url, room)
    segments = [
        Segment(f" {row.status[:6]:>6}", base + Style(color=color)),
        Segment(left, base),
        Segment(f"{url}{' ' * (room - columns(url))} ", base + Style(color="red" if row.bad else None)),
        Segment(right, base + Style(dim=not chosen)),
    ]
    return Strip(segments).adjust_cell_length(width, base)


def _right(width: int, row: Row | None) -> str:
    """The columns on the right that a list of this width has room for: of a row, or their names."""
    cells = []
    for column in _COLUMNS:
        if width >= column.from_width:
            text = (column.head if row is None else str(getattr(row, column.name)))[: column.width]
            cells.append(text.ljust(column.width) if column.left else text.rjust(column.width))
    return " ".join(cells)
