"""--curl: the command, run by a real sh and curl, sends what the request was, to where it went."""

import shutil
import socket
import subprocess
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.decode.decoder import Decoder
from hark.decode.events import TlsFacts
from hark.model.book import Book
from hark.model.changes import Ended
from hark.model.exchange import Exchange
from hark.recording import blocks
from hark.recording.blocks import Frame, Names
from hark.views.curl import command
from hark.wire import ip

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def heard(
    request: bytes,
    address: str,
    port: int,
    names: tuple[tuple[str, str], ...] = (),
    before: tuple[bytes, bytes] = (b"", b""),
) -> Exchange:
    """The exchange in which `request` went to this address; before: what was said first on the connection."""
    client, server = ip.packed("::2" if ":" in address else "10.0.0.9"), ip.packed(address)
    decoder, book, changes = Decoder(), Book(1 << 22), []
    changes += book.feed(decoder.feed(Names(names)))
    at = [1, 1]
    packets = [(0, 2, b"")]
    for asked, told in ((before[0], before[1]), (request, ANSWER)):
        for side, data in ((0, asked), (1, told)):
            packets += [(side, 24, data[n : n + 30000]) for n in range(0, len(data), 30000)]
    for time, (side, flags, data) in enumerate(packets, 1):
        ends = [(client, 40000), (server, port)]
        (src, sport), (dst, dport) = ends[::-1] if side else ends
        head = sport.to_bytes(2) + dport.to_bytes(2) + (at[side] - (flags == 2)).to_bytes(4) + at[1 - side].to_bytes(4)
        segment = head + bytes((80, flags)) + bytes(6) + data
        raw = ip.ip_header(src, dst, 6, len(segment)) + segment
        at[side] += len(data)
        changes += book.feed(decoder.feed(Frame(time, blocks.RAW, memoryview(raw), 0, len(raw))))
    changes += book.feed(decoder.finish())
    return [change.exchange for change in changes if isinstance(change, Ended)][-1]


class Server(threading.Thread):
    """Takes one connection and keeps what comes, as it comes."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.socket.settimeout(20)
        self.port = self.socket.getsockname()[1]
        self.taken = b""
        self.start()

    def run(self) -> None:
        with self.socket, self.socket.accept()[0] as peer:
            peer.settimeout(20)
            while not self.whole() and (data := peer.recv(65536)):
                self.taken += data
                if b"expect: 100" in self.taken.lower() and self.taken.endswith(b"\r\n\r\n"):
                    peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.sendall(ANSWER)

    def whole(self) -> bool:
        head, _, body = self.taken.partition(b"\r\n\r\n")
        fields = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in head.split(b"\r\n")[1:]}
        if fields.get(b"transfer-encoding") == b"chunked":
            return body.endswith(b"0\r\n\r\n")
        return b"\r\n\r\n" in self.taken and len(body) >= int(fields.get(b"content-length", b"0"))


def parts(request: bytes) -> tuple[bytes, list[bytes], bytes]:
    """(request line, header lines sorted, body without its framing in chunks)."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    if b"chunked" in head:
        body = b"chunked " + b"".join(piece for n, piece in enumerate(body.split(b"\r\n")) if n % 2)
    return line, sorted(f.partition(b":")[0].lower() + b":" + f.partition(b":")[2] for f in fields), body


H = "Host: {host}\r\nUser-Agent: t\r\nAccept: */*\r\n"
CASES = {
    "GET": "GET /a?b=c HTTP/1.1\r\n" + H + "\r\n",
    "POST with nothing": "POST /x HTTP/1.1\r\n" + H + "Content-Length: 0\r\n\r\n",
    "PUT with nothing": "PUT /x HTTP/1.1\r\n" + H + "Content-Length: 0\r\n\r\n",
    "PATCH": "PATCH /x HTTP/1.1\r\n" + H + "Content-Type: a/b\r\nContent-Length: 3\r\n\r\nabc",
    "DELETE": "DELETE /x HTTP/1.1\r\n" + H + "\r\n",
    "DELETE with nothing": "DELETE /x HTTP/1.1\r\n" + H + "Content-Length: 0\r\n\r\n",
    "GET with a body": "GET /x HTTP/1.1\r\n" + H + "Content-Length: 2\r\n\r\nhi",
    "OPTIONS of the server": "OPTIONS * HTTP/1.1\r\n" + H + "\r\n",
    "OPTIONS of its root": "OPTIONS / HTTP/1.1\r\n" + H + "\r\n",
    "no User-Agent": "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "a form": "POST /f HTTP/1.1\r\n"
    + H
    + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\na=1&b=@",
    "chunked": "POST /x HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunked with nothing": "POST /x HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Expect": "PUT /x HTTP/1.1\r\n" + H + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "dots": "GET /a/../b/./c HTTP/1.1\r\n" + H + "\r\n",
    "brackets": "GET /[1-3]{{a,b}} HTTP/1.1\r\n" + H + "\r\n",
    "empty header": "GET / HTTP/1.1\r\n" + H + "X-Empty:\r\n\r\n",
    "quotes": "GET /'\"$(id)`id`!\\ HTTP/1.1\r\n" + H + "X: '\"$(id)\\\r\n\r\n",
    "the same header twice": "GET / HTTP/1.1\r\n" + H + "X: 1\r\nX: 2\r\n\r\n",
    "HTTP/1.0": "GET / HTTP/1.0\r\n" + H + "\r\n",
    "HTTP/1.0 without a host": "GET /old HTTP/1.0\r\nUser-Agent: t\r\nAccept: */*\r\n\r\n",
    "a question without a path": "GET /?x HTTP/1.1\r\n" + H + "\r\n",
}
HOSTS = ["{address}", "v.test", "V.Test:81", "[::5]:9", "10.1.1.1"]


def ask_again(exchange: Exchange, server: Server) -> tuple[bytes, list[bytes], bytes]:
    line = command(exchange)
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=20)
    server.join(20)
    assert done.returncode == 0, (line, done.stderr)
    return parts(server.taken)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("name", CASES)
def test_what_arrives_is_what_was_asked(name: str) -> None:
    server = Server("127.0.0.1")
    request = CASES[name].format(host=f"127.0.0.1:{server.port}").encode()
    assert ask_again(heard(request, "127.0.0.1", server.port), server) == parts(request)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_another_host_than_the_address(host: str, address: str) -> None:
    server = Server(address)
    shown = f"[{address}]:{server.port}" if ":" in address else f"{address}:{server.port}"
    for request_line in ("GET /v", "OPTIONS *"):
        request = f"{request_line} HTTP/1.1\r\n{H.format(host=host.format(address=shown))}\r\n".encode()
        exchange = heard(request, address, server.port)
        if request_line == "GET /v":
            assert ask_again(exchange, server) == parts(request)
        else:
            assert f"http://{shown}" in command(exchange) or host == "{address}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("more", ["", "Proxy-Connection: Keep-Alive\r\n"])
def test_through_a_proxy(more: str) -> None:
    server = Server("127.0.0.1")
    request = f"GET http://a.test:81/x?y HTTP/1.1\r\n{H.format(host='a.test:81')}{more}\r\n".encode()
    assert ask_again(heard(request, "127.0.0.1", server.port), server) == parts(request)


GET = b"GET /x HTTP/1.1\r\nHost: a.test\r\nUser-Agent: t\r\nAccept: */*\r\n\r\n"


def test_a_name_that_was_looked_up_stays() -> None:
    assert command(heard(GET, "192.0.2.1", 80, (("192.0.2.1", "a.test"),))) == "curl -H 'User-Agent: t' http://a.test/x"
    assert (
        command(heard(GET, "192.0.2.1", 80, (("192.0.2.1", "A.Test."),))) == "curl -H 'User-Agent: t' http://a.test/x"
    )
    other = command(heard(GET, "192.0.2.1", 8080, (("192.0.2.1", "a.test"),)))
    assert other == "curl -H 'Host: a.test' -H 'User-Agent: t' http://192.0.2.1:8080/x"
    local = heard(GET.replace(b"a.test", b"localhost"), "127.0.0.1", 80)
    assert command(local) == "curl -H 'User-Agent: t' http://localhost/x"


def test_inside_of_a_tunnel_the_address_is_the_proxys() -> None:
    connect = (b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")
    assert command(heard(GET, "192.0.2.1", 3128, before=connect)) == "curl -H 'User-Agent: t' http://a.test/x"


TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@settings(max_examples=25, deadline=None)
@given(TEXT, TEXT, st.binary(max_size=40), st.sampled_from(["POST", "PUT", "PATCH", "X-ODD"]))
def test_any_target_header_and_body(target: str, value: str, body: bytes, method: str) -> None:
    server = Server("127.0.0.1")
    target = target.replace("#", "")
    head = f"{method} /{target} HTTP/1.1\r\n{H.format(host=f'127.0.0.1:{server.port}')}X-Any: {value}\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.replace("X-Any: \r\n", "X-Any:\r\n").encode() + body
    assert ask_again(heard(request, "127.0.0.1", server.port), server) == parts(request)


@pytest.mark.parametrize(
    "host, sni, address, port, line",
    [
        ("a.test", "a.test", "192.0.2.1", 443, "https://a.test/x"),
        ("a.test", "A.TEST.", "192.0.2.1", 443, "https://a.test/x"),
        ("a.test:8443", "a.test", "192.0.2.1", 8443, "https://a.test:8443/x"),
        ("192.0.2.1", "", "192.0.2.1", 443, "https://192.0.2.1/x"),
        ("a.test", "", "192.0.2.1", 8443, "-H 'Host: a.test' https://192.0.2.1:8443/x"),
        ("a.test", "", "2001:db8::1", 443, "-H 'Host: a.test' 'https://[2001:db8::1]/x'"),
        ("front.test", "cdn.test", "192.0.2.1", 443, "-H 'Host: front.test' https://cdn.test/x"),
        ("front.test", "cdn.test", "192.0.2.1", 8443, "-H 'Host: front.test' https://cdn.test:8443/x"),
    ],
)
def test_in_tls_the_name_asked_for_is_the_handshakes(host: str, sni: str, address: str, port: int, line: str) -> None:
    exchange = heard(GET.replace(b"a.test", host.encode()), address, port)
    exchange.connection.tls = TlsFacts(1, 1, 2, 3, "TLS 1.3", "", sni, "", False, "", b"", False)
    told = (
        command(exchange).replace("-H 'User-Agent: t' ", "").replace(" --globoff", "").removeprefix("curl --http1.1 ")
    )
    assert told.replace("--globoff ", "") == line
