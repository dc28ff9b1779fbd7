"""One line of log per event, with the id of the request that caused it: JSON in production, readable elsewhere.

Lines name routes, never paths: a path may hold the token of an offer or of a password reset. The debug lines of
libraries are never written, whatever the level: they print what they handle, such as the context of a template, the
arguments of a job, or the headers of a request to storage.
"""

import io
import logging
import logging.config
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

import structlog
from django.urls import Resolver404, resolve
from structlog.contextvars import bound_contextvars, get_contextvars, merge_contextvars
from structlog.typing import EventDict, ExcInfo, Processor

if TYPE_CHECKING:
    from django.http import HttpRequest

_SECRET_WORDS = ("password", "passwd", "secret", "token", "authorization", "cookie", "api_key", "session_key", "totp")
# Ours; of everything else INFO is the most that is written.
_OURS = ("aegir_support", "members", "billing", "tickets", "referrals")
# What PostgreSQL adds to the sentence of an error: the row that failed, the value that was there, the statement.
_DETAILS = re.compile(r"\n(DETAIL|CONTEXT|LINE \d+|QUERY|WHERE):.*?(?=\n\n(?:The above|During handling)|\Z)", re.DOTALL)
_request: ContextVar["HttpRequest | None"] = ContextVar("request", default=None)


def configure(level: str, *, as_json: bool) -> None:
    """Send everything of ours at `level` and above to standard error, and of libraries no debug lines. The last call
    counts.
    """
    shared: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(allow=["status_code"]),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_the_user,
        _hide_secrets,
        _cut_details,
    ]
    last: list[Processor] = (
        # A plain traceback: the fancy ones print local variables, and those hold secrets.
        [structlog.processors.format_exc_info, _cut_details, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=_plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "lines": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        *_own_lines(shared),
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *last,
                    ],
                }
            },
            "filters": {"routes": {"()": _RoutesForPaths}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["routes"]}},
            "root": {"level": "INFO" if level == "DEBUG" else level, "handlers": ["stderr"]},
            "loggers": {
                **{name: {"level": level} for name in _OURS},
                "django.server": {"level": "ERROR"},
                "django.request": {"level": "ERROR"},  # our own line per request tells the 404s
                "django.security.DisallowedHost": {"level": "CRITICAL"},
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING"},
                "kombu": {"level": "WARNING"},
            },
        }
    )


@contextmanager
def request_bound(request: "HttpRequest", request_id: str) -> Iterator[None]:
    """Name this request, and its user once known, in every line logged inside."""
    token = _request.set(request)
    try:
        with bound_contextvars(request_id=request_id):
            yield
    finally:
        _request.reset(token)


def current_request() -> "HttpRequest | None":
    """The request at work, where there is one."""
    return _request.get()


def without_details(words: str) -> str:
    """The sentence of an error without what PostgreSQL adds to it: a client's words, or somebody's address."""
    return _DETAILS.sub(r"\n\1: (hidden)", words)


def request_id() -> str:
    """The id of the request or job at work, or an empty string outside of one."""
    return str(get_contextvars().get("request_id", ""))


def route(request: "HttpRequest") -> str:
    """The pattern of the address, such as `offers/<token>/`, so that the token itself stays out of the logs."""
    try:
        match = request.resolver_match or resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return "(no such address)"
    return f"/{match.route}"


def _own_lines(shared: list[Processor]) -> list[Processor]:
    # Lines of the standard library went through the shared steps as "foreign" ones already.
    def own(step: Processor) -> Processor:
        def only_own(logger: Any, name: str, event: EventDict) -> Any:
            return step(logger, name, event) if event.get("_from_structlog") else event

        return only_own

    return [own(step) for step in shared if not isinstance(step, structlog.stdlib.ExtraAdder)]


def _name_the_user(logger: Any, name: str, event: EventDict) -> EventDict:
    # Only a user the request has fetched already: a log line must not ask the database.
    user = getattr(_request.get(), "_cached_user", None)
    if user is not None and user.pk is not None:
        event.setdefault("user_id", user.pk)
    return event


def _hide_secrets(logger: Any, name: str, event: EventDict) -> EventDict:
    for key in event:
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "(hidden)"
    return event


def _cut_details(logger: Any, name: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and "\n" in value:
            event[key] = without_details(value)
    return event


def _plain_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    # A plain one: the fancy ones print local variables, and those hold secrets.
    words = io.StringIO()
    structlog.dev.plain_traceback(words, exc_info)
    stream.write(without_details(words.getvalue()))


class _RoutesForPaths(logging.Filter):
    """Put the route where Django's own lines ("Forbidden: /accounts/…") name the path."""

    def filter(self, record: logging.LogRecord) -> bool:
        request: HttpRequest | None = getattr(record, "request", None)
        if request is not None and isinstance(record.args, tuple) and hasattr(request, "path"):
            path = request.path.encode("unicode_escape").decode("ascii")
            record.args = tuple(route(request) if value in {path, request.path} else value for value in record.args)
        return True
