"""What a browser sends is read whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import IOBase
from typing import Any

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class CutOff(OSError):
    """The connection ended before all that was announced had come. Django makes an UnreadablePostError of it."""


class WholeBody(IOBase):
    """The body of a request. Where the connection ends early it raises CutOff instead of seeming complete.

    A web server cannot tell the application that a browser went away in the middle of a form. What had come until then
    would be taken for the form: a reply without its last files, or with half its words.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Exactly `size` bytes, which Django keeps within what was announced. Raises CutOff."""
        parts: list[bytes] = []
        missing = size
        while missing > 0:
            part: bytes = self._stream.read(missing)
            if not part:
                raise CutOff(f"{missing} bytes of the request never came.")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def readline(self, size: int | None = -1, /) -> bytes:  # Django reads forms by the chunk; nothing asks for lines
        raise NotImplementedError


def whole(application: Application) -> Application:
    """The application, whose requests are read whole or not at all."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"] = WholeBody(environ["wsgi.input"])
        return application(environ, start_response)

    return answer
