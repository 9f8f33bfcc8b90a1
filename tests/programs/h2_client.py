import socket, h2.connection, h2.config, h2.events
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage, CloseConnection

s = socket.create_connection(("192.0.2.10", 7061))
s.settimeout(5)
c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
c.initiate_connection()
s.sendall(c.data_to_send())
w = Connection(ConnectionType.CLIENT)
said, opened, done = [], False, False
while not done:
    for e in c.receive_data(s.recv(65536)):
        if isinstance(e, h2.events.RemoteSettingsChanged) and not opened:
            opened = True
            c.send_headers(
                1,
                [
                    (":method", "CONNECT"),
                    (":protocol", "websocket"),
                    (":scheme", "http"),
                    (":path", "/over/h2"),
                    (":authority", "192.0.2.10:7061"),
                    ("sec-websocket-version", "13"),
                ],
            )
        elif isinstance(e, h2.events.ResponseReceived):
            c.send_data(1, w.send(TextMessage("two")))
        elif isinstance(e, h2.events.DataReceived):
            w.receive_data(e.data)
            for m in w.events():
                if isinstance(m, TextMessage):
                    said.append(m.data)
                    c.send_data(1, w.send(CloseConnection(1000)))
                else:
                    c.end_stream(1)
                    done = True
    s.sendall(c.data_to_send())
print(said)
