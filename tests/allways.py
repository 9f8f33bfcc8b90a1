"""The all-ways law: a byte decoder tells the same whether its bytes come whole, one by one, or cut at any one seam."""

from collections.abc import Callable, Iterable, Sequence

from hark.decode import events as ev
from hark.decode.channel import Opaque
from hark.decode.endings import Ending, How
from hark.decode.events import Side
from hark.decode.layer import Layer, Upgrade

C, S = Side.CLIENT, Side.SERVER
CLOSED = Ending(S, How.FIN, 0)
Script = Sequence[tuple[Side, bytes]]


def NO_UPGRADE(upgrade: Upgrade, time: int) -> tuple[Layer, Sequence[ev.Event]]:
    """For layers that are tested alone: what takes over is told by its token and not read."""
    return Opaque(), (ev.Protocol(upgrade.request.conn, time, upgrade.token),)


def render(events: Iterable[ev.Event]) -> list[str]:
    """Events as lines; a body's pieces joined, times and sizes left out."""
    lines: list[str] = []
    bodies: dict[tuple[int, Side], bytes] = {}

    def flush(stream: int, side: Side) -> None:
        data = bodies.pop((stream, side), None)
        if data is not None:
            lines.append(f"{stream} {'>' if side == C else '<'} body {data!r}")

    for event in events:
        match event:
            case ev.BodyData():
                key = (event.stream, event.side)
                bodies[key] = bodies.get(key, b"") + bytes(event.data)
            case ev.RequestHead():
                host = f" {event.scheme}://{event.authority}" if event.authority else ""
                lines.append(
                    f"{event.stream} > {event.method} {event.target} {event.version}{host} {fields(event.headers)}"
                )
            case ev.ResponseHead():
                mark = "interim " if event.interim else ""
                first = f"{event.status} {event.reason}".rstrip()
                lines.append(f"{event.stream} < {mark}{first} {event.version} {fields(event.headers)}")
            case ev.MessageEnd():
                flush(event.stream, event.side)
                lines.append(f"{event.stream} {'>' if event.side == C else '<'} end {fields(event.trailers)}".rstrip())
            case ev.Message():
                text = (
                    event.data.decode("utf-8", "backslashreplace") if event.kind != "binary" else event.data.hex()[:80]
                )
                if event.kind == "close":
                    text = f"{int.from_bytes(event.data[:2], 'big')} {event.data[2:].decode('utf-8', 'replace')}"
                lines.append(
                    f"{event.stream} {'>' if event.side == C else '<'} {event.kind} {event.size} {text}".rstrip()
                )
            case ev.Unwanted():
                lines.append(f"{event.stream} < wants no more")
            case ev.Aborted():
                flush(event.stream, C)
                flush(event.stream, S)
                lines.append(f"{event.stream} aborted: {event.why or ended(event.ending)}")
            case ev.Alert():
                lines.append(f"alert {event.side.name.lower()} {event.code}")
            case ev.GoingAway():
                lines.append(f"going away: {ended(event.ending)}")
            case ev.NotTls():
                lines.append(f"not TLS: {event.protocol}")
            case ev.Trouble():
                lines.append(f"trouble {event.kind}: {event.text}")
            case ev.Protocol():
                lines.append(f"speaks {event.name or 'something else'}")
            case ev.TlsFacts() if event.done:
                lines.append(
                    f"tls {event.version} {event.cipher} sni={event.sni} alpn={event.alpn} resumed={event.resumed}"
                )
            case ev.Encrypted():
                lines.append(f"encrypted {event.size} bytes: {event.cause.clause}")
            case _:
                pass
    for stream, side in list(bodies):
        flush(stream, side)
    return [line.rstrip() for line in lines]


def ended(ending: Ending | None) -> str:
    """An ending without its time."""
    assert ending is not None
    who = "nobody" if ending.side is None else ending.side.name.lower()
    return f"{who} {ending.how}{f' ({ending.detail})' if ending.detail else ''}"


def fields(headers: ev.Headers) -> str:
    """Headers in one line."""
    return "{" + ", ".join(f"{n.decode('latin-1')}: {v.decode('latin-1')}" for n, v in headers) + "}" if headers else ""


def play(make: Callable[[], object], script: Script, close: Ending = CLOSED) -> list[str]:
    """Feed a layer a script and close it; b"" is the end of a side."""
    layer = make()
    events: list[ev.Event] = []
    for time, (side, data) in enumerate(script, 1):
        events += layer.feed(side, data, time) if data else layer.end(side, How.FIN, time)  # type: ignore[attr-defined]
    events += layer.close(close._replace(time=len(script) + 1))  # type: ignore[attr-defined]
    return render(events)


def all_ways(make: Callable[[], object], script: Script) -> list[str]:
    """What the layer tells of the script, the same in every way."""
    whole = play(make, script)
    for index, (side, data) in enumerate(script):
        bytewise = [(side, data[i : i + 1]) for i in range(len(data))] or [(side, b"")]
        assert play(make, [*script[:index], *bytewise, *script[index + 1 :]]) == whole, f"byte by byte in turn {index}"
        for seam in range(1, len(data)):
            parts = [(side, data[:seam]), (side, data[seam:])]
            assert play(make, [*script[:index], *parts, *script[index + 1 :]]) == whole, (
                f"cut at {seam} in turn {index}"
            )
    return whole
