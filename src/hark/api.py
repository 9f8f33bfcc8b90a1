"""The Python API: run a command, listen to one, read a recording.

    recording = hark.run(["curl", "-s", "https://example.com/"])
    recording.exchanges[0].response.json()

    with hark.listen(["npm", "install"]) as live:
        for exchange in live:
            print(exchange)

    hark.read("trace.pcapng").exchanges

What   Functions; what they return is in live.py and values.py.
Limits Bodies are kept up to max_body bytes; a request or response says whether its body is whole.
"""

import os
import subprocess
import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

from hark.errors import HarkError
from hark.live import Command, Live, with_recording
from hark.model.changes import Change
from hark.values import Exchange, Failure, Headers, Process, Recording, Request, Response
from hark.views.view import Needs, View

__all__ = [
    "Exchange", "Failure", "HarkError", "Headers", "Live", "Process", "Recording", "Request", "Response", "listen",
    "read", "run",
]  # fmt: skip

MAX_BODY = 1 << 20  # bytes of each body that are kept


def listen(command: Command, *, max_body: int = MAX_BODY, redact: bool = False, **popen: Any) -> Live:
    """Start a command under hark. redact: hide secrets, like --redact. Other arguments are subprocess.Popen's.
    Iterating over the result raises HarkError if the command cannot be run."""
    return Live(command, max_body, popen, redact)


def run(
    command: Command,
    *,
    input: Any = None,
    timeout: float | None = None,
    capture_output: bool = False,
    check: bool = False,
    max_body: int = MAX_BODY,
    redact: bool = False,
    **popen: Any,
) -> Recording:
    """Run a command under hark, wait, and return what was captured. redact: hide secrets, like --redact. Other
    arguments are subprocess.run()'s: a string is the name of a program, or a command line with shell=True.

    Raises HarkError if it cannot be run, subprocess.TimeoutExpired, and with check CalledProcessError; the last two
    have what was captured as their attribute `recording`."""
    if capture_output:
        popen |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        popen["stdin"] = subprocess.PIPE
    with Live(command, max_body, popen, redact) as live:
        try:
            recording = live.communicate(input, timeout)
        except subprocess.TimeoutExpired as error:
            recording = live.finish()
            error.output, error.stderr = recording.stdout, recording.stderr
            raise
    if check and recording.status:
        failed = subprocess.CalledProcessError(recording.status, cast(Any, command), recording.stdout, recording.stderr)
        raise with_recording(failed, recording)
    return recording


def read(
    path: str | os.PathLike[str],
    *,
    keys: Sequence[str | os.PathLike[str]] = (),
    max_body: int = MAX_BODY,
    redact: bool = False,
) -> Recording:
    """Read a recording: pcapng, pcap, HAR, JSON lines. keys: key logs in files of their own; redact: hide secrets, like
    --redact. Warns of a key log without keys. Raises HarkError."""
    from hark.pipeline.build import redacted
    from hark.pipeline.keyfiles import key_logs
    from hark.pipeline.pipeline import Pipeline, replay
    from hark.recording import reader

    name = os.fspath(path)
    collector = _Collector()
    notes: list[str] = []
    secrets = key_logs([os.fspath(key) for key in keys], notes.append)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    views: list[View] = [redacted([collector], None) if redact else collector]
    try:
        with open(name, "rb", buffering=0) as file:
            replay(chain(secrets, reader.read(file, name)), Pipeline(views, max_body))
    except OSError as error:
        raise HarkError(f"cannot read {error.filename or name}", error.strerror or "") from error
    return collector.recording


class _Collector(View):
    """Keeps everything."""

    def __init__(self) -> None:
        self.recording = Recording()

    def needs(self) -> Needs:
        """Bodies, which the caller may read."""
        return Needs.BODIES

    def change(self, change: Change) -> None:
        """Keep it."""
        self.recording.take(change)
