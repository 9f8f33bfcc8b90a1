import http.server


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = b"access_token=antwort-67-antwort&you=geheim-23-geheim&scope=all"
        self.send_response(302)
        for line in (
            ("Content-Type", "Text/Plain"),
            ("Location", "/cb?code=kode-71-kode"),
            ("Content-Length", str(len(body))),
        ):
            self.send_header(*line)
        self.end_headers()
        self.wfile.write(body)

    log_message = lambda *words: None


http.server.HTTPServer(("127.0.0.1", 7071), Answers).serve_forever()
