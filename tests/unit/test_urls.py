"""URLs in their parts."""

import pytest

from hark.views.filters import parts_of
from hark.wire.urls import split


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://example.com:8443/a/b?c=d#e", ("https", "example.com:8443", "/a/b?c=d#e")),
        ("http://[::1]:80/", ("http", "[::1]:80", "/")),
        ("http://user:secret@h", ("http", "user:secret@h", "")),
        ("http://h?q=http://other/", ("http", "h", "?q=http://other/")),
        ("http://h#f/g", ("http", "h", "#f/g")),
        ("example.com:443", ("", "", "example.com:443")),
        ("/path", ("", "", "/path")),
        ("", ("", "", "")),
    ],
)
def test_split(url: str, parts: tuple[str, str, str]) -> None:
    assert split(url) == parts


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://user@example.com:8443/a?b", "example.com:8443", "/a?b"),
        ("http://h", "h", "/"),
        ("http://h?q=/x", "h", "/?q=/x"),
        ("example.com:443", "", "/"),
    ],
)
def test_host_and_path_for_filters(url: str, host: str, path: str) -> None:
    assert parts_of(url) == (host, path)
