"""Asking ClamAV's daemon about a file: its INSTREAM command, by a socket file or by host and port."""

from __future__ import annotations

import re
import socket
import struct
from typing import BinaryIO

CHUNK = 64 * 1024
SECONDS = 20.0
_INFECTED = re.compile(r"stream: (.{1,200}) FOUND")


class NoAnswer(Exception):
    """The scanner is away, hangs, or says neither yes nor no. Nothing is known about the file."""


def name_of_infection(file: BinaryIO, address: str, *, seconds: float = SECONDS) -> str:
    """What the scanner calls the infection it finds, "" when it finds none. Raises NoAnswer.

    `address` is the path of a socket, or `host:port`; `seconds` is how long one step may take.
    """
    try:
        with _connect(address, seconds) as scanner:
            scanner.sendall(b"zINSTREAM\0")
            while chunk := file.read(CHUNK):
                scanner.sendall(struct.pack("!L", len(chunk)) + chunk)
            scanner.sendall(struct.pack("!L", 0))
            answer = _read(scanner)
    except OSError as error:
        raise NoAnswer(str(error) or type(error).__name__) from error
    if answer == "stream: OK":
        return ""
    if found := _INFECTED.fullmatch(answer):
        return found[1]
    raise NoAnswer(f"It said {answer[:100]!r}.")


def _connect(address: str, seconds: float) -> socket.socket:
    if "/" in address:
        scanner = socket.socket(socket.AF_UNIX)
        scanner.settimeout(seconds)
        try:
            scanner.connect(address)
        except OSError:
            scanner.close()
            raise
        return scanner
    host, _colon, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=seconds)


def _read(scanner: socket.socket) -> str:
    answer = b""
    while not answer.endswith(b"\0") and len(answer) < 4096 and (more := scanner.recv(1024)):
        answer += more
    return answer.rstrip(b"\0\n").decode("utf-8", "replace")
