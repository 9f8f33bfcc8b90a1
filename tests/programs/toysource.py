"""A key source that hark does not have, to show what one takes: this file, and the line that adds it to the plan.

usage: python toysource.py HARK-ARGUMENTS...     the program finds a file for key log lines in the variable TOY_KEYS
"""

import os
import sys

import hark.plan
from hark.cli import main
from hark.errors import Finding
from hark.keys.keylogfile import Follower, Watch
from hark.system import kernel
from hark.system.program import Answer, Can


class Toy:
    """A key log in a variable of its own."""

    name = "toy"

    def build(self, place):
        fd = os.open(
            f"{place.private}{os.environ.get('TOY_FOLDER', '')}/toy", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o622
        )
        os.fchmod(fd, 0o622)
        return {"toy": fd}

    def environment(self, base, place):
        return {"TOY_KEYS": f"{place.private}/toy"}

    def finding(self, files=None):
        if os.environ.get("NO_TOYS"):
            return Finding("toy", "NO_TOYS is set", "unset NO_TOYS", "toys are not decrypted")
        if files is not None and "toy" not in files:
            return Finding("toy", "its file could not be made", "", "toys are not decrypted")
        return Finding("toy")

    def covers(self, program):
        value = (program.environment or {}).get("TOY_KEYS")
        return Answer(Can.YES, self.name) if value else None

    def open(self, files):
        return Lines(files["toy"]) if "toy" in files else None


class Lines(Follower):
    """Its lines, under its name."""

    def __init__(self, fd):
        super().__init__(fd, Watch(*kernel.notifier()))

    def read(self):
        return [secrets._replace(source="toy") for secrets in super().read()]


hark.plan.SOURCES += (lambda facts: Toy(),)
sys.exit(main(sys.argv[1:]))
