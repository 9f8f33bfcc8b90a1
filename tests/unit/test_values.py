"""The values of the Python API, and what reading files says."""

import pathlib
import subprocess
import sys
import warnings

import pytest

import hark
from hark.values import Headers

RECORDINGS = pathlib.Path(__file__).parent.parent.parent / "recordings"


def test_a_key_log_without_keys_is_warned_of(tmp_path: pathlib.Path) -> None:
    empty = tmp_path / "keys.log"
    empty.write_text("no key here\n")
    with pytest.warns(UserWarning) as caught:
        hark.read(RECORDINGS / "curl-gzip.pcapng", keys=[empty])
    assert [str(one.message) for one in caught] == [f"{empty} holds no line of a TLS key log: it decrypts nothing"]
    assert caught[0].filename == __file__  # the caller, not hark


def test_a_key_log_with_keys_is_not_warned_of(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "keys.log"
    log.write_text(f"CLIENT_RANDOM {'ab' * 32} {'cd' * 48}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hark.read(RECORDINGS / "curl-gzip.pcapng", keys=[log]).exchanges


def test_a_key_log_that_is_not_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(hark.HarkError, match=r"cannot read .*nowhere"):
        hark.read(RECORDINGS / "curl-gzip.pcapng", keys=[tmp_path / "nowhere"])


def test_all_names_of_the_api_can_be_had_from_the_package_and_from_api() -> None:
    from hark import api

    for name in api.__all__:
        assert getattr(hark, name) is getattr(api, name)
    assert set(api.__all__) | {"__version__"} == set(hark.__all__)


def test_an_exchange_of_a_file() -> None:
    recording = hark.read(RECORDINGS / "curl-gzip.pcapng")
    exchange = recording.exchanges[0]
    assert exchange.response is not None and exchange.response.headers["content-encoding"] == "gzip"
    assert exchange.response.whole and exchange.response.size != len(exchange.response.body)
    assert exchange.entry["request"]["url"] == exchange.url == exchange.request.url
    assert exchange.curl().startswith("curl ")
    assert exchange.process is not None and f"{exchange.process.name}[{exchange.process.pid}]" in str(exchange)


def test_header_names_are_case_insensitive() -> None:
    headers = Headers([("Accept", "a"), ("accept", "b"), ("Set-Cookie", "x=1"), ("Set-Cookie", "y=2")])
    assert headers["ACCEPT"] == "a, b" and headers.get_all("set-cookie") == ["x=1", "y=2"]
    assert list(headers) == ["accept", "set-cookie"] and len(headers) == 2
    with pytest.raises(KeyError):
        headers["Host"]


def test_importing_the_package_loads_no_api() -> None:
    code = "import sys, hark; print(*(name for name in sys.modules if name.startswith('hark.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
