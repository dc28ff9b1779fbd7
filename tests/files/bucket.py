"""A service that speaks enough of S3 to keep files: put, get, head and delete, on a loopback port."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.frame.test_settings import production


class Bucket(ThreadingHTTPServer):
    """What it keeps is in `objects`, by path; who asks without our key is refused."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.objects = {}
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    """One connection to the bucket."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        if self.is_ours():
            self.server.objects[self.place()] = self.body()
            self.answer(200)

    def do_DELETE(self):
        if self.is_ours():
            self.server.objects.pop(self.place(), None)
            self.answer(204)

    def do_GET(self):
        if self.is_ours():
            found = self.server.objects.get(self.place())
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>") if found is None else self.answer(200, found)

    def do_HEAD(self):
        self.do_GET()

    def is_ours(self):
        ours = "Credential=them/" in self.headers.get("Authorization", "")
        if not ours:
            self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        return ours

    def place(self):
        return self.path.partition("?")[0]

    def body(self):
        told = self.headers.get("Content-Encoding", "") + self.headers.get("Transfer-Encoding", "")
        if "chunked" not in told:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 12:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *words):
        """Keep quiet."""


@contextmanager
def running():
    with Bucket() as bucket:
        threading.Thread(target=bucket.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield bucket
        bucket.shutdown()


@contextmanager
def in_use(settings):
    """A bucket behind the settings that production would make."""
    with running() as bucket:
        named = {
            "S3_BUCKET": "files",
            "S3_ENDPOINT_URL": bucket.url,
            "S3_REGION": "eu-test-1",
            "S3_ACCESS_KEY_ID": "them",
            "S3_SECRET_ACCESS_KEY": "secret",
            "FILES_DIR": "",
        }
        settings.STORAGES = settings.STORAGES | {"default": production("STORAGES", **named)["STORAGES"]["default"]}
        yield bucket
