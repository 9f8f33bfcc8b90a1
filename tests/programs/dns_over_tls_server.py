import socketserver, ssl, sys

ANSWER = bytes.fromhex("c00c000100010000003c0004c000020a")


class H(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            asked = self.rfile.read(int.from_bytes(head, "big"))
            end = asked.index(b"\0", 12) + 5
            told = asked[:2] + b"\x81\x80\0\1\0\1" + bytes(4) + asked[12:end] + ANSWER
            self.wfile.write(len(told).to_bytes(2, "big") + told)


c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(*sys.argv[1:3])


class S(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

    def get_request(self):
        s, a = super().get_request()
        return c.wrap_socket(s, server_side=True), a


S(("192.0.2.10", 7075), H).serve_forever()
