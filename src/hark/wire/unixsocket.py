"""Unix sockets as ends of connections: a path, or "@" and a name in the abstract namespace, in the place of an address.

URLs are those of requests-unixsocket, HTTPie and others: http+unix:// with the path percent-encoded as the host.
"""


def is_socket(host: str) -> bool:
    """Whether the host's part of an end is a Unix socket's, and its port 0."""
    return host[:1] in ("/", "@")


def origin(scheme: str, path: str) -> str:
    """The start of a URL, up to its path: "http+unix://%2Frun%2Fdocker.sock"."""
    from urllib.parse import quote  # costs 3 ms, which only who has such a socket pays

    return f"{scheme}+unix://{quote(path, safe='')}"


def socket_of(url: str) -> tuple[str, str]:
    """(the socket, the same URL by the name localhost) of such a URL; ("", the URL) of another."""
    scheme, mark, rest = url.partition("+unix://")
    if not mark or ":" in scheme:
        return "", url
    from urllib.parse import unquote

    host, slash, path = rest.partition("/")
    return unquote(host), f"{scheme}://localhost{slash}{path}"
