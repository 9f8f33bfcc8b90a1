"""Programs that must print the same, and end with the same status, untapped and under hark.

Each file here holds a table, CASES, of one kind of behaviour; tests/e2e/test_faithful.py runs them all.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

Around = Callable[[Any], contextlib.AbstractContextManager[dict[str, str] | None]]


@contextlib.contextmanager
def nothing(world: Any) -> Iterator[None]:
    """No server, no files."""
    yield


def made_by_root(around: Around = nothing) -> Around:
    """For what a world that is made without root does not have: in its user namespace other people's files are nobody's
    already, one id is mapped, and its network stays as it was made."""

    @contextlib.contextmanager
    def checked(world: Any) -> Iterator[dict[str, str] | None]:
        if not world.root:
            pytest.skip("needs a world that root has made")
        with around(world) as more:
            yield more

    return checked


@dataclass(frozen=True)
class Case:
    """One program, and what is around it while it runs."""

    name: str
    program: str | list[str]  # Python source, or a command
    around: Around = nothing  # with around(world) as environment: what the program needs, and variables for it
    network: str = ""  # a shell script that adds to the world's network; cases with the same one share a world
    resolver: str = ""  # /etc/resolv.conf of the world, where it is not the usual one
    expect: bytes | None = None  # what it prints untapped, where that is worth stating
    limit: str = ""  # the first words of its line in README's Limits: a strict expected failure
    environment: dict[str, str] = field(default_factory=dict)
    timeout: float = 30  # s
    soak: bool = False  # one of many variants, or long: run by make soak

    @property
    def command(self) -> list[str]:
        """The argument vector."""
        return self.program if isinstance(self.program, list) else [sys.executable, "-c", self.program]
