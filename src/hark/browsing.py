"""`hark ui` and --ui: the terminal browser in front of a recording or of a running hark.

What   The browser needs the terminal and the main thread; what feeds it is another process (a reading) or another hark.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

from hark.errors import HarkError
from hark.options import Options
from hark.tap import kernel

Save = Callable[[str, list[dict[str, Any]]], None]


def browse(lines: Iterator[bytes], title: str) -> None:
    """Show a feed until the person leaves. Raises HarkError."""
    if not (os.isatty(0) and os.isatty(1)):
        raise HarkError("cannot show the browser", "standard input and output are no terminal", "hark read FILE")
    from hark.views.ui.app import Browser

    Browser(lines, save, title).run()


def save(name: str, entries: list[dict[str, Any]]) -> None:
    """Write entries as a file by the kind that its name says. Raises HarkError."""
    from hark.model.archive import Shelf
    from hark.model.book import Ended
    from hark.showing import file_views, open_outputs

    options = Options()
    options.outputs = [name]
    complaints: list[str] = []
    outputs = open_outputs(options, complaints.append)
    if outputs.recordings:
        raise HarkError(f"cannot write {name}", "what is shown is exchanges, not packets", "x.har, x.jsonl, x.html")
    shelf = Shelf()
    for view in file_views(options, outputs, None):
        for entry in entries:
            view.change(Ended(shelf.exchange(entry)))
        view.end()
    if complaints:
        raise HarkError(complaints[0])


def of_reading(body: Callable[[int], object]) -> tuple[Iterator[bytes], int]:
    """The lines that `body`, in a process of its own, feeds to the descriptor that it is given; and that process."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(read)
            kernel.die_with_parent(signal.SIGTERM)
            body(write)
            status = 0
        except HarkError as error:
            os.write(write, json.dumps({"what": "told", "text": str(error)}).encode() + b"\n")
        finally:
            os._exit(status)
    os.close(write)
    return lines_of(read), pid


def lines_of(fd: int) -> Iterator[bytes]:
    """The whole lines that come by a descriptor."""
    with open(fd, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line
