"""The terminal browser in front of a recording or of a running hark.

What   The browser needs the terminal and the main thread; what feeds it is another process (a reading) or another hark.
"""

import gc
import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hark.errors import HarkError
from hark.system import kernel

if TYPE_CHECKING:
    from hark.model.entry import Entry

Save = Callable[[str, "list[Entry]"], None]


def browse(lines: Iterator[bytes], save: Save, title: str, output: int = -1) -> None:
    """Show a feed until the person leaves. save: writes entries as a file of
    that name; output: a file that grows, to be looked into. Raises HarkError."""
    need_terminal()
    from hark.frontends.ui.app import Browser

    gc.set_threshold(50_000, 50, 1000)  # rows live as long as we do: looking through them again costs a key its 50 ms
    Browser(lines, save, title, output).run()


def need_terminal() -> None:
    """Raises HarkError where there is none."""
    if not (os.isatty(0) and os.isatty(1)):
        raise HarkError("cannot show the browser", "standard input and output are no terminal", "hark read FILE")


def in_another_process(body: Callable[[int], int | None]) -> tuple[Iterator[bytes], int]:
    """The lines that `body`, in a process of its own, feeds to the descriptor that it is given; and that process."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(read)
            kernel.die_with_parent(signal.SIGTERM)
            status = body(write) or 0
        except BaseException as error:  # the terminal is the browser's: it shows what went wrong
            text = str(error) if isinstance(error, HarkError) else f"hark failed; please report this: {error!r}"
            os.write(write, json.dumps({"what": "told", "text": text}).encode() + b"\n")
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
