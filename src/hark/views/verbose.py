"""The details of an exchange below its line: heads (-v) and bodies (-vv), as curl -v shows them.

Limits A body ends after a screenful, binary data after HEXDUMP bytes; the last line says how to get the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hark.decode.endings import Side
from hark.model.charset import text_of
from hark.views.excerpt import screenful
from hark.views.view import hexdump, pretty, safe, size
from hark.wire.fields import text as text_of_field

if TYPE_CHECKING:
    from hark.decode.events import Headers
    from hark.model.exchange import Exchange

_HEXDUMP_BYTES = 512
_YELLOW, _CYAN, _DIM, _BOLD = "33", "36", "2", "1"

Paint = Callable[[str, str], str]  # (colour, text) to a text with that colour


def details(exchange: Exchange, bodies: bool, width: int, paint: Paint) -> Iterator[str]:
    """The lines. width: of the screen in columns, 0 if it is not known."""
    request, response = exchange.request, exchange.response
    if request is not None:
        first = request.line or f"{request.method} {request.target} {request.version}"
        yield paint(_BOLD, f"> {safe(first)}")
        if request.authority:
            yield from _headers(">", ((b":authority", request.authority.encode()),), paint)
        yield from _headers(">", request.headers, paint)
        if bodies:
            yield from _body(">", exchange, Side.CLIENT, width, paint)
        yield from _headers(">", exchange.request_trailers, paint)
    for head in exchange.interim:
        yield paint(_BOLD, f"< {safe(f'{head.version} {head.status} {head.reason}'.rstrip())}")
        yield from _headers("<", head.headers, paint)
    if response is not None:
        first = f"{response.version} {response.status} {response.reason}".rstrip()
        yield paint(_BOLD, f"< {safe(first)}")
        yield from _headers("<", response.headers, paint)
        if bodies:
            yield from _body("<", exchange, Side.SERVER, width, paint)
        yield from _headers("<", exchange.response_trailers, paint)


def _headers(mark: str, headers: Headers, paint: Paint) -> Iterator[str]:
    for name, value in headers:
        yield f"{mark} {paint(_CYAN, safe(text_of_field(name)))}: {safe(text_of_field(value))}"


def _body(mark: str, exchange: Exchange, side: Side, width: int, paint: Paint) -> Iterator[str]:
    body = exchange.response_body if side else exchange.request_body
    if not body.size:
        return
    header = exchange.response_header if side else exchange.request_header
    mime = header("content-type")
    data, wrong, cut = exchange.content(side)
    yield mark
    text = text_of(data, mime, body.whole and not cut)
    if text is not None:
        lines, more = screenful(pretty(text, mime).splitlines(), width)
    else:
        lines, more = hexdump(data[:_HEXDUMP_BYTES]), ""
        if len(data) > _HEXDUMP_BYTES:
            lines.append(f"… {size(len(data))} of binary data")
    yield from (f"{mark} {safe(line)}" for line in lines)
    rest = _rest(more, body.size, len(data), body.whole, cut)
    if rest:
        yield paint(_DIM, f"{mark} … {rest}")
    if wrong:
        yield paint(_YELLOW, f"{mark} ({safe(wrong)})")


def _rest(more: str, received: int, decoded: int, whole: bool, cut: bool) -> str:
    """How much of a body is not shown, and how to get it. Sizes are in bytes."""
    if not whole:
        most = f"{-(-max(received, 1) // 1_000_000)}M"
        return f"{more or 'the rest was not kept'}; {size(received)} in all (-o FILE.har --max-body {most} keeps them)"
    if cut:
        return f"{more or 'the rest was not kept'}; more than {size(decoded)} in all (--max-body SIZE keeps more)"
    return f"{more}; {size(decoded)} in all (-o FILE.har has them)" if more else ""
