"""A command that runs under hark, for the Python API.

What   The command runs under a hark process of its own, which sends a feed (views/feed.py) through a pipe. A thread
       reads the feed, so that a slow caller does not slow the program.
Why    hark forks and waits for children, which it could not do safely inside a program with threads.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, cast

from hark.errors import HarkError
from hark.model.changes import Change
from hark.values import Exchange, Recording

_PATIENCE = (1.0, 4.0)  # s that a command gets after each SIGTERM
Word = str | bytes | os.PathLike[str]
Command = Word | Sequence[Word]  # as for subprocess.Popen


class Live:
    """A command that runs under hark: iterate over its exchanges as they end. Also a context manager, which ends the
    command if it still runs."""

    def __init__(self, command: Command, max_body: int, options: Mapping[str, Any], redact: bool = False) -> None:
        popen = dict(options)
        words = _words(command, popen)
        self._command = command
        feed, theirs = os.pipe()
        argv = [
            sys.executable,
            "-P",
            "-m",
            "hark",
            "--feed",
            str(theirs),
            "--max-body",
            str(max_body),
            *(["--redact"] if redact else []),
            "run",
            "--",
            *words,
        ]
        try:
            kept = [theirs, *popen.pop("pass_fds", ())]
            self._running = subprocess.Popen(argv, pass_fds=kept, **popen)
        except BaseException:
            os.close(feed)
            raise
        finally:
            os.close(theirs)
        self.recording = Recording()  # everything that was iterated over so far
        self._changes: queue.SimpleQueue[Change | HarkError | None] = queue.SimpleQueue()
        threading.Thread(target=_take, args=(feed, self._changes), daemon=True).start()
        self._over = False

    @property
    def pid(self) -> int:
        """The process id of the hark that runs the command; it passes signals on to the command."""
        return self._running.pid

    @property
    def stdin(self) -> Any:
        """The command's standard input, if it is a pipe; likewise the next two."""
        return self._running.stdin

    @property
    def stdout(self) -> Any:
        """Its standard output."""
        return self._running.stdout

    @property
    def stderr(self) -> Any:
        """Its standard error."""
        return self._running.stderr

    def __iter__(self) -> Iterator[Exchange]:
        while not self._over:
            change = self._changes.get()
            if change is None:
                self._over = True
            elif isinstance(change, HarkError):
                self._over = True
                self._running.wait()
                raise change
            else:
                ended = self.recording.take(change)
                if ended is not None:
                    yield ended

    def wait(self, timeout: float | None = None) -> Recording:
        """Wait for the end; everything that was captured. timeout: s. Raises HarkError, and subprocess.TimeoutExpired,
        which has what was captured so far as its attribute `recording`."""
        try:
            self.recording.status = self._running.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise self._late(error) from None
        for _ in self:
            pass
        return self.recording

    def communicate(self, input: Any = None, timeout: float | None = None) -> Recording:
        """Like subprocess.Popen.communicate(), then wait()."""
        try:
            self.recording.stdout, self.recording.stderr = self._running.communicate(input, timeout)
        except subprocess.TimeoutExpired as error:
            raise self._late(error) from None
        return self.wait(timeout)

    def _late(self, error: subprocess.TimeoutExpired) -> subprocess.TimeoutExpired:
        """A timeout of the user's command, not of the hark that runs it."""
        self._take_available()
        late = subprocess.TimeoutExpired(cast(Any, self._command), error.timeout, error.output, error.stderr)
        return with_recording(late, self.recording)

    def _take_available(self) -> None:
        with contextlib.suppress(queue.Empty):
            while not self._over:
                change = self._changes.get_nowait()
                if change is None:
                    self._over = True
                elif not isinstance(change, HarkError):
                    self.recording.take(change)

    def stop(self) -> None:
        """End the command and the processes that it started, if they still run: by SIGTERM, then by SIGKILL."""
        for patience in _PATIENCE:
            if self._running.poll() is not None:
                return
            self._running.send_signal(signal.SIGTERM)  # passed on; after the command's end, to its background processes
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running.wait(patience)
        if self._running.poll() is None:
            self._running.kill()

    def finish(self) -> Recording:
        """Stop; everything that was captured and written until then."""
        self.stop()
        out, err = self._running.communicate()
        self.recording.stdout, self.recording.stderr = out, err
        return self.wait()

    def terminate(self) -> None:
        """Send the command SIGTERM."""
        self._running.terminate()

    def kill(self) -> None:
        """End hark, and with it the command."""
        self._running.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self.recording.status = self._running.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def _take(feed: int, changes: "queue.SimpleQueue[Change | HarkError | None]") -> None:
    """A thread: turns the lines of the feed into changes."""
    from hark.views.feed import Changes

    reader = Changes()
    with open(feed, "rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):  # the last line of a hark that was killed may be cut
                event = json.loads(line)
                if event["what"] == "error":
                    changes.put(HarkError(*event["error"]))  # with its exit status
                    return
                change = reader.change(event)
                if change is not None:
                    changes.put(change)
    changes.put(None)


def _words(command: Command, popen: dict[str, Any]) -> list[str | bytes]:
    """The argument vector that subprocess.Popen would make of a command. Removes `shell` and `executable` from `popen`.
    Raises ValueError."""
    single = isinstance(command, str | bytes | os.PathLike)
    words = [os.fspath(word) for word in cast(Any, [command] if single else command)]
    if not words:
        raise ValueError("an empty command")
    executable = popen.pop("executable", None)
    if popen.pop("shell", False):
        return [os.fspath(executable or "/bin/sh"), "-c", *words]
    if executable is not None:
        raise ValueError("executable is for shell=True; else the command's first word is the file that runs")
    return words


Late = TypeVar("Late", bound=subprocess.SubprocessError)


def with_recording(error: Late, recording: Recording) -> Late:
    """The error, with the recording as its attribute `recording`."""
    cast(Any, error).recording = recording
    return error
