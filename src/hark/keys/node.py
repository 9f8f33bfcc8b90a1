"""Node: a hook that every Node process of the tree loads, on the 'keylog' event of its TLS sockets.

What   NODE_OPTIONS=--require=HOOK, before what the user has there. The hook writes to the tree's private key log.
Why    Node carries its own OpenSSL inside the executable and ignores SSLKEYLOGFILE.
Limits A program that is started with NODE_OPTIONS removed is not decrypted.
"""

from __future__ import annotations

from collections.abc import Mapping

from hark.errors import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from hark.system.program import Answer, Program
    from hark.tap.place import Place
    from hark.tap.source import Source

_NAMES: Final = ("node", "nodejs")


class Hook:
    """The key source. hook: the file that Node loads; "" where it is missing."""

    name = "Node hook"

    def __init__(self, hook: str) -> None:
        self._hook = hook

    def build(self, place: Place) -> dict[str, int]:
        """Nothing: it writes to the private key log (keylogfile.py)."""
        return {}

    def environment(self, base: Mapping[str, str], place: Place) -> dict[str, str]:
        """The variable that loads the hook, where it has a file to write to."""
        return require(base, self._hook) if self._hook and place.private else {}

    def finding(self, files: Mapping[str, int] | None = None) -> Finding:
        """Whether its file is there. That it has nowhere to write to is the private key log's finding."""
        if not self._hook:
            return Finding(
                self.name, "its hook is missing", "pip install --force-reinstall hark", "Node is not decrypted"
            )
        return Finding(self.name)

    def covers(self, program: Program) -> Answer | None:
        """Where it is Node, with the hook among its options."""
        from hark.system.program import Answer, Can, no, unknown

        if program.name not in _NAMES and not program.has("libnode.so"):
            return None
        if program.environment is None:
            return unknown("its environment cannot be read")
        if not self._hook or self._hook not in program.environment.get("NODE_OPTIONS", ""):
            return no("Node has not loaded the hook: NODE_OPTIONS was unset or changed")
        return Answer(Can.YES, self.name)

    def open(self, files: Mapping[str, int]) -> Source | None:
        """Nothing: the private key log's reader has its lines."""
        return None


def require(environment: Mapping[str, str], hook: str) -> dict[str, str]:
    """The variable that loads the hook."""
    path = hook.replace("\\", "\\\\").replace('"', '\\"')
    option = f'--require="{path}"' if " " in hook else f"--require={hook}"
    before = environment.get("NODE_OPTIONS", "")
    return {"NODE_OPTIONS": f"{option} {before}" if before else option}
