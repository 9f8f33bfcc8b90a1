"""What taps and key sources are: the interfaces that a run and its capture loop use.

May hold: protocols, which only type checkers need: nothing imports this file when hark runs. May not hold: a source, a
tap, or the choice among them (plan.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hark.errors import Finding
    from hark.recording.blocks import Block
    from hark.system.program import Answer, Program
    from hark.tap.place import Place


class Source(Protocol):
    """What the capture loop listens to."""

    def fileno(self) -> int:
        """The descriptor to wait on."""

    def read(self) -> Iterable[Block]:
        """All that has come. Must not block. An exception ends this source, is recorded, and ends nothing else."""


class KeySource(Protocol):
    """One way to get TLS secrets from programs. What cannot be had is left out: the program must not notice."""

    name: str  # in messages

    def build(self, place: Place) -> dict[str, int]:
        """In the child, before the exec: make what the program needs. Descriptors to hand to the capture process, by
        name; -1 for one that cannot be had. Raises OSError where there is none of it."""

    def environment(self, base: Mapping[str, str], place: Place) -> dict[str, str]:
        """In the child: the variables that the program gets beside or instead of those in `base`."""

    def finding(self, files: Mapping[str, int] | None = None) -> Finding | None:
        """In hark's first process, at each start and for `hark doctor`: whether secrets can be had this way; if not,
        what is not decrypted, why, and what brings it. files: what was handed over; None: before anything was built.
        None where there is nothing to say."""

    def covers(self, program: Program) -> Answer | None:
        """By facts alone: whether secrets of a process can be had this way; None where the source is not for such
        programs."""

    def open(self, files: Mapping[str, int]) -> Source | None:
        """In the capture process: what to listen to, if anything. Raises OSError."""


class Observed(Protocol):
    """The processes whose traffic is captured."""

    def members(self) -> list[int]:
        """Their pids now."""

    def end(self) -> bool:
        """End all of them; whether there was anyone."""


class Tap(Protocol):
    """A way to reach the bytes of the observed processes. It has added its descriptors to the loop."""

    def pause(self) -> float:
        """Seconds that the loop may wait for the next event."""

    def idle(self) -> None:
        """Nothing came during that pause."""

    def tick(self, now: float) -> None:
        """Forget what has had its time; `now` is time.monotonic(). Called between pauses, at most 20 times a second."""

    def resume(self) -> None:
        """There may be room in the ring again."""

    def settled(self) -> bool:
        """Whether nothing that the programs sent is still on its way."""

    def finish(self) -> None:
        """Record what is still to be said: the programs have ended."""
