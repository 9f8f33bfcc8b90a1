"""HTTP/2 said by the h2 library: an encoder that is not ours."""

import h2.config
import h2.connection

from hark.decode.events import Side

C, S = Side.CLIENT, Side.SERVER


class Pair:
    """A client and a server of the h2 library; what they say to each other is kept as a script."""

    def __init__(self) -> None:
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.script: list[tuple[object, bytes]] = []
        self.client.initiate_connection()
        self.server.initiate_connection()
        self.exchange()

    def exchange(self) -> list[object]:
        events: list[object] = []
        for _ in range(3):
            for side, sender, receiver in ((C, self.client, self.server), (S, self.server, self.client)):
                data = sender.data_to_send()
                if data:
                    self.script.append((side, data))
                    events += receiver.receive_data(data)
        return events


REQUEST = [(":method", "GET"), (":path", "/x?y"), (":scheme", "https"), (":authority", "h.test"), ("a", "b")]


def early_answer(rest: bool) -> list[tuple[object, bytes]]:
    """A server that answers before the request's body has come, and wants no more of it; rest: it was on its way."""
    pair = Pair()
    pair.client.send_headers(1, [(":method", "POST"), *REQUEST[1:]])
    pair.exchange()
    if rest:
        pair.client.send_data(1, b"question", end_stream=True)
    late = pair.client.data_to_send()
    pair.server.send_headers(1, [(":status", "401")], end_stream=True)
    pair.server.reset_stream(1, error_code=0)
    pair.script.append((S, pair.server.data_to_send()))
    return [*pair.script, (C, late)] if rest else pair.script
