"""A server on the loopback that takes reports as Sentry's does and keeps them."""

import gzip
import http.server
import json
import threading
from contextlib import contextmanager


class SentryServer(http.server.ThreadingHTTPServer):
    """`taken` are the bodies as they came; `events` are the reports in them."""

    daemon_threads = True
    key = "0123456789abcdef0123456789abcdef"

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Asked)
        self.taken = []

    @property
    def dsn(self):
        return f"http://{self.key}@127.0.0.1:{self.server_port}/7"

    @property
    def events(self):
        """The envelopes' items of the type "event"; whatever else came is in `taken`."""
        return [item for kind, item in self.items if kind == "event"]

    @property
    def items(self):
        found = []
        for body in list(self.taken):
            lines = body.split(b"\n")[1:]
            for header, item in zip(lines[::2], lines[1::2], strict=False):
                if header:
                    found.append((json.loads(header)["type"], json.loads(item)))
        return found


class _Asked(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        right = self.path == "/api/7/envelope/" and self.server.key in self.headers.get("X-Sentry-Auth", "")
        if right:
            self.server.taken.append(body)
        answer = b"{}"
        self.send_response(200 if right else 403)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@contextmanager
def sentry_server():
    with SentryServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
