"""The capture loop: one thread that serves a tap and the key sources, and ends when the observed programs have.

What   Waits on every descriptor, calls whom it belongs to, records what comes.
Why    One thread, one epoll, no queue between capture and relay: nothing to overtake.
End    When the program has exited and its tree is gone, bytes on their way out are sent, then the loop ends. When
       hark's first process was killed, the program's tree is ended too: its network is here.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from hark.recording.ring import Writer
from hark.tap.loop import IN, Loop
from hark.tap.recorder import Recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from hark.tap.source import KeySource, Observed, Source, Tap

_LOOK_MAX: Final = 0.3  # s between looks whether what the program left running has ended
_TICK: Final = 0.05  # s between two ticks of the tap while events come
_QUIET: Final = 0.005  # s without any event after which nothing more is thought to be on its way
_DRAIN: Final = 3.0  # s without any event after which the end waits for nobody
_KILL, _DETACH, _EXITED = b"kdx"


class Capture:
    """Runs a tap. control: the socket to hark's first process, which says when the program has ended. files: what was
    made for the key sources in the child."""

    def __init__(
        self,
        writer: Writer,
        wake: int,
        control: socket.socket,
        observed: Observed,
        keys: Sequence[KeySource],
        files: Mapping[str, int],
    ) -> None:
        self.loop = Loop()
        self.recorder = Recorder(writer)
        self._observed = observed
        self._control = control
        self._wake = wake
        self._sources: dict[str, Source] = {}
        self._exited = False  # the program has
        self._detached = False
        self._killed = False
        self._patience = 0.01  # s between looks whether the tree is gone
        self._pause = 0.0  # s that the loop may wait when the program has exited
        self._look = 0.0  # when to look again
        self.loop.add(control.fileno(), IN, self._on_control)
        for source in keys:
            self._open(source.name, lambda source=source: source.open(files))  # type: ignore[misc]

    def run(self, tap: Tap) -> None:
        """Serve until the observed programs are gone."""
        self.loop.add(self._wake, IN, lambda event: self._on_room(tap))
        quiet_since = ticked = time.monotonic()
        while True:
            pause = self._pause if self._exited else tap.pause()
            came = self.loop.once(pause)
            now = time.monotonic()
            if came:
                quiet_since = now
            else:
                tap.idle()
            if now - ticked >= _TICK:
                ticked = now
                tap.tick(now)
            if self._exited and self._over(tap, now - quiet_since):
                break
        for name in list(self._sources):
            self._read(name)
        tap.finish()
        self.recorder.close()

    def _over(self, tap: Tap, quiet: float) -> bool:
        """Whether the tree is gone and nothing is on its way out any more."""
        now = time.monotonic()
        if now < self._look:
            return False
        if self._observed.members():
            if self._killed:
                self._observed.end()
            else:  # orphans may live for days: look less and less often
                self._patience = min(self._patience * 1.2, _LOOK_MAX)
            self._look = now + self._patience
            self._pause = self._patience
            return False
        self._pause = max(_QUIET - quiet, 0.0005) if quiet < _QUIET else self._patience
        if self._killed:
            return True
        return (tap.settled() and quiet >= _QUIET) or quiet > _DRAIN

    def _on_control(self, event: int) -> None:
        try:
            said = self._control.recv(1)
        except OSError:
            said = b""
        if said == bytes([_EXITED]):
            self._exited = True
        elif said == bytes([_DETACH]):
            self._detached = True
        elif said == bytes([_KILL]) or (not said and not self._detached):
            self._killed = self._exited = True
            self._observed.end()
        if not said:
            self._exited = True
            self.loop.remove(self._control.fileno())

    def _on_room(self, tap: Tap) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        tap.resume()

    # -- key sources -------------------------------------------------------------------------------------------------

    def _open(self, name: str, make: Callable[[], Source | None]) -> None:
        """One more source. The capture goes on without one that fails, now or later, which is recorded."""
        try:
            source = make()
            if source is None:
                return
            self.loop.add(source.fileno(), IN, lambda event: self._read(name))
        except Exception as error:
            self._failed(name, error)
        else:
            self._sources[name] = source

    def _read(self, name: str) -> None:
        source = self._sources[name]
        try:
            found = list(source.read())
        except Exception as error:
            del self._sources[name]
            self.loop.remove(source.fileno())
            self._failed(name, error)
            return
        for block in found:
            self.recorder.block(block)

    def _failed(self, name: str, error: Exception) -> None:
        why = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        self.recorder.loss("source of TLS secrets", 1, f"{name}: {why}")
