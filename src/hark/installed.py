"""Files that are installed beside the code: where they are, whether or not they are there."""

import os

_AGENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "agents")
AGENT = os.path.join(_AGENTS, "preload", "libhark-keys.so")  # the preloaded agent
HOOK = os.path.join(_AGENTS, "node", "hook.cjs")  # what Node loads
PRIVATE = os.path.join(_AGENTS, "private")  # an empty directory: the private tmpfs is mounted over it


def there(path: str) -> str:
    """The path if the file is there, else ""."""
    return path if os.path.exists(path) else ""
