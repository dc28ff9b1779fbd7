"""A mail server on the loopback that takes every message and keeps it."""

import socketserver
import threading
import time
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy


class MailSink(socketserver.ThreadingTCPServer):
    """`taken` are the messages; while `greets` is not set, whoever connects waits at the door."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Session)
        self.taken = []
        self.visitors = 0
        self.slowness = 0.0  # seconds a message takes
        self.greets = threading.Event()
        self.greets.set()

    @property
    def port(self):
        return self.server_address[1]


class _Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.visitors += 1
        self.server.greets.wait(30)
        with suppress(OSError):  # the sender was killed
            self._talk()

    def _talk(self):
        self._say("220 ready")
        while verb := self.rfile.readline(1000).strip().upper()[:4]:
            if verb == b"DATA":
                self._say("354 go on")
                if not self._take():
                    return
            self._say("221 bye" if verb == b"QUIT" else "250 ok")

    def _take(self):
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False  # broken off half-way: not taken
            lines.append(line)
        time.sleep(self.server.slowness)
        self.server.taken.append(message_from_bytes(b"".join(lines), policy=policy.default))
        return True

    def _say(self, words):
        self.wfile.write(words.encode() + b"\r\n")


@contextmanager
def mail_sink():
    with MailSink() as sink:
        thread = threading.Thread(target=sink.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield sink
        finally:
            sink.greets.set()
            sink.shutdown()
            thread.join()
