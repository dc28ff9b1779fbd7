"""A scanner that speaks INSTREAM as ClamAV's daemon does, and knows one infection: EICAR."""

import socket
import struct
import threading
from contextlib import contextmanager, suppress

from tests.files.hostile import EICAR


class Scanner:
    """Listens on a loopback port. `mood` says how it answers: as it should, never, garbage, or an error of its own."""

    def __init__(self):
        self.mood = "well"
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._over = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                caller, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[caller], daemon=True).start()

    def _serve(self, caller):
        with caller, suppress(OSError):
            caller.settimeout(5)
            self._answer(caller)

    def _answer(self, caller):
        if self.mood == "hanging":
            self._over.wait(5)
            return
        if self.mood == "garbage":
            caller.recv(1024)
            caller.sendall(b"220 mail ready\r\n\0")
            return
        content = self._stream(caller)
        if self.mood == "too large":
            caller.sendall(b"INSTREAM size limit exceeded. ERROR\0")
        else:
            found = EICAR in content
            caller.sendall(b"stream: Win.Test.EICAR_HDB-1 FOUND\0" if found else b"stream: OK\0")

    def _stream(self, caller):
        reader = caller.makefile("rb")
        assert reader.read(10) == b"zINSTREAM\0"
        content = b""
        while size := struct.unpack("!L", reader.read(4))[0]:
            content += reader.read(size)
        return content

    def close(self):
        """Stop listening."""
        self._over.set()
        self._socket.close()


@contextmanager
def running():
    scanner = Scanner()
    try:
        yield scanner
    finally:
        scanner.close()
