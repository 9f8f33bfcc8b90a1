"""The browser: a list that grows, the details of one exchange, and keys.

What   Lines come from a thread that reads the feed; a timer takes what has come. The list draws only the lines that are
       seen, so it does not matter how many there are.
Keys   Shown in the last line. What is typed into the filter acts at every key.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TabbedContent, TabPane

from hark.errors import HarkError
from hark.frontends.ui import details
from hark.frontends.ui.listing import Heads, Listing
from hark.frontends.ui.rows import Row, Rows
from hark.model.failed_entry import failure, is_failure
from hark.model.imported import EntryReader
from hark.views.curl import command, comment
from hark.views.view import plural, safe

if TYPE_CHECKING:
    from hark.model.entry import Entry

_TABS: dict[str, Callable[["Entry"], Any]] = {
    "Headers": details.headers,
    "Response": details.response_body,
    "Request": details.request_body,
    "Timing": details.timing,
    "Connection": details.connection,
}
_KEYS = (
    ("/", "filter"), ("⏎", "details"), ("1-5", "tabs"), ("f", "follow"), ("c", "copy as curl"), ("s", "save as"),
    ("o", "output"), ("q", "quit"),
)  # fmt: skip
_TICK = 0.05  # s between looks at what has come
_OUTPUT = 1 << 16  # bytes of the command's output that are shown
_BATCH = 2000  # lines taken at a time, so that keys are not kept waiting


class Ask(ModalScreen[str]):
    """One line asked of the person."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss('')", "Cancel")]
    CSS = "Ask { align: center middle } Ask Input { width: 60 }"

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        """The line."""
        yield Input(placeholder=self._what)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Given."""
        self.dismiss(event.value)


class Output(ModalScreen[None]):
    """Text over the whole screen, its end first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,o,q,enter", "dismiss", "Back")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The text."""
        with VerticalScroll():
            yield Static(self._text, markup=False)

    def on_mount(self) -> None:
        """To its end."""
        self.query_one(VerticalScroll).scroll_end(animate=False)


class Browser(App[None]):
    """The application. lines: what the feed gives, iterated over in a thread. save(name, entries) writes a file."""

    CSS = """
    #filter { border: none; height: 1; padding: 0 1; background: $surface }
    #status { height: 1; padding: 0 1; color: $text-muted }
    #keys { height: 1; background: $surface }
    #list { width: 1fr }
    Heads { height: 1; background: $surface }
    Listing { scrollbar-size-vertical: 1; overflow-x: hidden; background: $background }
    TabbedContent { width: 1fr; border-left: solid $surface-lighten-2 }
    #main.narrow TabbedContent { display: none }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Filter", priority=True),  # in the way of no key that is typed behind it
        Binding("enter", "details", "Details"),  # and the tabs by 1 to 5
        Binding("f", "follow", "Follow"),
        Binding("c", "curl", "Copy as curl"),
        Binding("s", "save", "Save as"),
        Binding("o", "output", "Output"),
        *(Binding(str(n + 1), f"tab('{name}')", name, show=False) for n, name in enumerate(_TABS)),
        Binding("q", "quit", "Quit"),
        Binding("escape", "leave", show=False),
    ]
    TITLE = "hark"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self, lines: Iterable[bytes], save: "Callable[[str, list[Entry]], None]", title: str, output: int = -1
    ) -> None:
        super().__init__()
        self._lines = lines
        self._save = save
        self._name = title
        self._output = output  # a file in which the command's own output gathers
        self.rows = Rows()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._over = False
        self._shown: tuple[Row, str, bool] | None = None

    def compose(self) -> ComposeResult:
        """Filter, list, details, status, keys."""
        yield Input(
            placeholder="filter: words, host:example.com status:4xx,5xx method:POST type:json process:curl", id="filter"
        )
        with Horizontal(id="main", classes="narrow"):
            with Vertical(id="list"):
                listing = Listing(self.rows)
                yield Heads(listing)
                yield listing
            with TabbedContent():
                for name in _TABS:
                    with TabPane(name, id=name.lower()), VerticalScroll():
                        yield Static(id=f"text-{name.lower()}", markup=False)
        yield Static(id="status", markup=False)
        yield Static(self._keys(), id="keys")

    def _keys(self) -> Text:
        """What the keys do, in a line. Textual's own is made anew as the focus moves, which a key would wait for."""
        text = Text(no_wrap=True)
        for key, name in _KEYS:
            if name != "output" or self._output >= 0:
                text.append(f" {key} ", "bold")
                text.append(f"{name} ")
        return text

    def on_mount(self) -> None:
        """Begin."""
        self.query_one(Listing).focus()
        threading.Thread(target=self._read, daemon=True).start()
        self.set_interval(_TICK, self._take)
        self._tell()

    def _read(self) -> None:
        for line in self._lines:
            self._queue.put(line)
        self._queue.put(None)

    def _take(self) -> None:
        """Take what has come."""
        changed = False
        for _ in range(_BATCH):
            try:
                line = self._queue.get_nowait()
            except queue.Empty:
                break
            if line is None:
                self._over = changed = True
            else:
                changed = self.rows.feed(line) or changed
        if changed:
            self.query_one(Listing).renew()
            self._tell()
            self._show()

    def _tell(self, note: str = "") -> None:
        """The line of status."""
        shown, count = len(self.rows.shown), len(self.rows.all)
        failures = self.rows.failures
        if shown == count:
            failed = f", {plural(failures, 'failure')}" if failures else ""
            told = f"{plural(count - failures, 'exchange')}{failed}"
        else:
            told = f"{shown} of {plural(count, 'row' if failures else 'exchange')}"
        state = "ended" if self._over else "following" if self.query_one(Listing).follow else "live"
        trouble = f" · {self.rows.trouble}" if self.rows.trouble else ""
        self.query_one("#status", Static).update(note or f"{self._name} · {told} · {state}{trouble}")

    # -- details -----------------------------------------------------------------------------------------------------

    def on_listing_chosen(self) -> None:
        """Another exchange is looked at."""
        self._show()

    def on_tabbed_content_tab_activated(self) -> None:
        """Another side of it is looked at."""
        self._show()

    def _show(self) -> None:
        """Fill the tab that is seen."""
        if self.query_one("#main").has_class("narrow"):
            return
        row = self.query_one(Listing).chosen
        tabs = self.query_one(TabbedContent)
        if row is None:
            return
        now = (row, tabs.active, row.over)
        if now == self._shown:
            return
        self._shown = now
        name = tabs.active.capitalize()
        entry = self.rows.entry(row)
        text = _TABS[name](entry) if entry is not None else f"{row.method} {row.url}"
        self.query_one(f"#text-{tabs.active}", Static).update(text)

    # -- keys ----------------------------------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """The filter acts as it is typed."""
        if event.input.id != "filter":
            return
        try:
            self.rows.filter(event.value)
        except HarkError:
            return  # not finished yet
        self.query_one(Listing).renew()
        self._tell()
        self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the list."""
        if event.input.id == "filter":
            self.screen.set_focus(self.query_one(Listing))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a line that is typed, a slash is a slash."""
        if action == "output":
            return self._output >= 0
        return action != "find" or not isinstance(self.focused, Input)

    def action_find(self) -> None:
        """Into the filter."""
        self.screen.set_focus(self.query_one("#filter"))  # at once: the next key may be there already

    def action_details(self) -> None:
        """Show the details, or no longer."""
        self.query_one("#main").toggle_class("narrow")
        self._shown = None
        self._show()

    def action_leave(self) -> None:
        """Out of the filter; then the details away."""
        listing = self.query_one(Listing)
        if not listing.has_focus:
            self.screen.set_focus(listing)
        else:
            self.query_one("#main").add_class("narrow")

    def action_follow(self) -> None:
        """Stay with the newest, or no longer."""
        listing = self.query_one(Listing)
        listing.follow = not listing.follow
        listing.renew()
        self._tell()

    def action_tab(self, name: str) -> None:
        """Show this side of the exchange."""
        self.query_one("#main").remove_class("narrow")
        self.query_one(TabbedContent).active = name.lower()
        self._shown = None
        self._show()

    def action_curl(self) -> None:
        """Copy the request as a curl command."""
        row = self.query_one(Listing).chosen
        entry = self.rows.entry(row) if row is not None else None
        if entry is not None:
            line = comment(failure(entry)) if is_failure(entry) else command(EntryReader().exchange(entry))
            self.copy_to_clipboard(line)
            self._tell(f"copied: {line}")

    def action_output(self) -> None:
        """The end of what the command itself has written."""
        size = os.fstat(self._output).st_size
        text = os.pread(self._output, _OUTPUT, max(size - _OUTPUT, 0)).decode("utf-8", "replace")
        self.push_screen(Output("\n".join(safe(line) for line in text.splitlines()) or "nothing yet"))

    def action_save(self) -> None:
        """Save what is shown."""

        def save(name: str | None) -> None:
            if not name:
                return
            entries = [entry for row in self.rows.shown if row.over and (entry := self.rows.entry(row)) is not None]
            try:
                self._save(os.path.expanduser(name), entries)
                self._tell(f"saved {plural(len(entries), 'entry', 'entries')} as {name}")
            except HarkError as error:
                self._tell(str(error))

        self.push_screen(Ask("save as x.har, x.jsonl or x.html"), save)
