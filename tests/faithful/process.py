"""The process itself: how it is started, what it is linked to, whose its files are, which signals reach it."""

import contextlib
import functools
import subprocess
from collections.abc import Iterator
from typing import Any

from faithful import Case

HELLO = '#include <stdio.h>\nint main(int argc, char **argv) { puts(argc > 1 ? argv[1] : "hello"); return argc - 1; }\n'


@contextlib.contextmanager
def _compiled(flags: tuple[str, ...], source: str, world: Any) -> Iterator[dict[str, str]]:
    """A C program, built once a world: PROGRAM names it."""
    name = f"c-{abs(hash((flags, source))):x}"
    program = world.dir / "home" / name
    if not program.exists():
        program.with_suffix(".c").write_text(source)
        command = ["gcc", *flags, "-o", str(program), str(program.with_suffix(".c"))]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
    yield {"PROGRAM": str(program)}


def _built(name: str, *flags: str, source: str = HELLO, script: str = "$PROGRAM; $PROGRAM x") -> Case:
    return Case(name, ["sh", "-c", script], functools.partial(_compiled, flags, source))


CASES = [
    _built("address-sanitizer", "-fsanitize=address"),
    _built("address-sanitizer-inside", "-fsanitize=address", "-static-libasan"),
    _built("thread-sanitizer", "-fsanitize=thread"),
    _built("undefined-behaviour-sanitizer", "-fsanitize=undefined"),
    _built("leak-sanitizer", "-fsanitize=leak"),
    _built("32-bit", "-m32"),
    _built("32-bit-static", "-m32", "-static"),
    _built("static", "-static"),
    _built("static-pie", "-static-pie"),
]
