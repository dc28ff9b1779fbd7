"""What a worker does when the broker does not hear it."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request


class HeardRequest(Request):
    """A job that is over only when the broker has heard so; else the connection counts as lost, and begins anew.

    Celery writes down that it was not heard and goes on. The job then counts as being worked on for ever, and after as
    many as are fetched at once the worker looks alive and takes nothing more. What was not heard comes again, and finds
    nothing to do.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        # The errors that an acknowledgement swallows: none.
        super().__init__(*args, **options | {"connection_errors": ()})
