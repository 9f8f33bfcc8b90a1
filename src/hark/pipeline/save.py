"""Entries that are shown, written as a file."""

from typing import TYPE_CHECKING

from hark.destinations import BROWSERS, check_packets, open_outputs
from hark.errors import HarkError
from hark.model.changes import Ended, Failed
from hark.model.failed_entry import failure, is_failure
from hark.model.imported import EntryReader
from hark.options import Options
from hark.pipeline.build import file_views

if TYPE_CHECKING:
    from hark.model.entry import Entry


def save(name: str, entries: "list[Entry]") -> None:
    """Write entries as a file by the type that its name says. Raises HarkError."""

    options = Options()
    options.outputs = [name]
    complaints: list[str] = []
    check_packets(options, "what is shown is exchanges, not packets")
    outputs = open_outputs(options, complaints.append, BROWSERS)
    reader = EntryReader()
    try:
        for view in file_views(options, outputs):
            for entry in entries:
                view.change(Failed(failure(entry)) if is_failure(entry) else Ended(reader.exchange(entry)))
            view.end()
    finally:
        outputs.close()
    if complaints:
        raise HarkError(complaints[0])
