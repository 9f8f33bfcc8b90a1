"""The helper that stays in the namespaces: sockets of theirs, by an ordinary user and by root (tests/programs/helping.py)."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from hark.errors import HarkError
from hark.tap.namespace import helper

pytestmark = pytest.mark.slow

PROGRAM = pathlib.Path(__file__).parent.parent / "programs" / "helping.py"
USER = ["setpriv", "--reuid", "harktest", "--regid", "harktest", "--init-groups"] if os.getuid() == 0 else []
WAYS = {"user": ([*USER], ["-U", "--map-current-user", "--keep-caps"])} | (
    {"root": ([], [])} if not os.getuid() else {}
)


@pytest.mark.parametrize("way", WAYS)
def test_sockets_of_the_namespaces(way: str) -> None:
    before, options = WAYS[way]
    done = subprocess.run(
        [*before, sys.executable, PROGRAM.name, *options],
        cwd=PROGRAM.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("microseconds") < 10_000
    assert found == {
        "reuse": 1,
        "blocking": False,
        "received": "inside",
        "outside": "ECONNREFUSED",
        "six": "::1",
        "packets": "lo",
        "unix": "\0hark-test",
        "linger": True,
        "path": "",
        "path outside": False,
        "same mount": True,
        "refused": ["EADDRNOTAVAIL", "EADDRINUSE", "EINVAL", "EINVAL", "EAFNOSUPPORT", "EMSGSIZE", ""],
        "descriptors": ["socket"],
        "stopped": ["TimeoutError", "EPIPE"],
        "ended": 0,
        "killed": "EPIPE",
        "attached": [True, 2],
        "released": 0,
        "attached too late": "EPIPE",
        "gone": "cannot start the helper in the namespaces: No such file or directory",
    }


def test_a_helper_that_cannot_start_is_an_error() -> None:
    """In the namespaces of a process that is gone."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(HarkError, match="cannot start the helper in the namespaces: No such file or directory"):
        helper.Helper.start(pid, "nothing is lost", print)
