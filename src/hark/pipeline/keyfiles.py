"""Key logs in files beside a recording: --keys, and `keys` of the Python API."""

from collections.abc import Callable, Iterable

from hark.errors import HarkError
from hark.recording.blocks import Secrets
from hark.wire import keylog


def key_logs(names: Iterable[str], warn: Callable[[str], None]) -> list[Secrets]:
    """Their contents as blocks. warn: gets a sentence for each file without keys. Raises HarkError if one cannot be
    read."""
    return [Secrets(_contents(name, warn), 0, "key log") for name in names]


def _contents(name: str, warn: Callable[[str], None]) -> bytes:
    try:
        with open(name, "rb") as file:
            text = file.read()
    except OSError as error:
        raise HarkError(f"cannot read {name}", error.strerror or "") from error
    if next(keylog.parse(text), None) is None:
        warn(f"{name} holds no line of a TLS key log: it decrypts nothing")
    return text
