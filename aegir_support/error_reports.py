"""Errors told to a Sentry server, where SENTRY_DSN names one.

A report says what failed and where in our code: the type of the error, the lines that led there, the route and the id
of the request. It holds nobody's words: no message of an exception, no variable, no header, cookie, body, address or
name. The log of our own machines has more, and the id of the request finds it there.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.utils import event_from_exception

from . import logs

if TYPE_CHECKING:
    from sentry_sdk._types import Event, Hint

# What the two integrations report themselves, and the lines of the one that sends.
_NOT_FROM_THE_LOG = ("django.request", "celery.app.trace", "sentry_sdk", "urllib3")
# Facts of a log line that are names of ours; of the others only numbers are told.
_NAMES = frozenset({"alarm", "job", "kind", "outbox_key", "task"})
_KEPT = frozenset(
    {"event_id", "timestamp", "level", "platform", "release", "environment", "logger", "logentry", "fingerprint", "sdk"}
)


def start(dsn: str, *, release: str, environment: str) -> None:
    """Report errors from now on, in this process."""
    sentry_sdk.init(
        dsn=dsn,
        release=release,
        environment=environment,
        default_integrations=False,  # they would send the command line, and all that is installed
        auto_enabling_integrations=False,
        integrations=[
            DjangoIntegration(middleware_spans=False, signals_spans=False),
            # The trace would travel through the broker, and with it the key of the DSN.
            CeleryIntegration(propagate_traces=False),
            DedupeIntegration(),
            ExcepthookIntegration(),
        ],
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        shutdown_timeout=2,
        before_send=_only_what_helps,
    )
    logging.getLogger().addHandler(_FromTheLog(level=logging.ERROR))


class _FromTheLog(logging.Handler):
    """Each line of the log that is an error is one report."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_NOT_FROM_THE_LOG):
            return
        try:
            self._report(record)
        except Exception:  # noqa: BLE001 - as every handler of the log does
            self.handleError(record)

    def _report(self, record: logging.LogRecord) -> None:
        # structlog leaves its line as a mapping; of others the sentence is told without what is put into it.
        line: dict[str, Any] = dict(record.msg) if isinstance(record.msg, dict) else {"event": record.msg}
        report: Event = {}
        hint: Hint = {}
        if error := _error_of(record.exc_info or line.get("exc_info")):
            report, hint = event_from_exception(error, client_options=sentry_sdk.get_client().options)
        report["level"] = "fatal" if record.levelno >= logging.CRITICAL else "error"
        report["logger"] = record.name
        report["logentry"] = {"message": str(line.pop("event", ""))}
        hint["facts"] = {key: value for key, value in line.items() if _is_harmless(key, value)}
        sentry_sdk.capture_event(report, hint)


def _error_of(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        found: BaseException | None = exc_info[1]
        return found
    return sys.exc_info()[1] if exc_info else None


def _is_harmless(key: str, value: object) -> bool:
    return isinstance(value, int | float) or (key in _NAMES and isinstance(value, str))


def _only_what_helps(event: Event, hint: Hint) -> Event:
    given: dict[str, Any] = dict(event)
    kept = {key: value for key, value in given.items() if key in _KEPT}
    if "exception" in given:
        kept["exception"] = {"values": [_without_words(each) for each in given["exception"].get("values", [])]}
    if where := _where(given):
        kept["transaction"] = where
    kept["tags"] = {"request_id": logs.request_id()} if logs.request_id() else {}
    kept["extra"] = hint.get("facts", {})
    return kept  # type: ignore[return-value]  # a TypedDict, all keys of which may be missing


def _where(event: dict[str, Any]) -> str:
    if request := logs.current_request():
        return f"{request.method} {logs.route(request)}"
    task = str(event.get("transaction") or "")
    return "" if task.startswith("/") else task  # a path may hold a token


def _without_words(error: dict[str, Any]) -> dict[str, Any]:
    kept = {key: error.get(key) for key in ("type", "module", "mechanism")}
    frames = (error.get("stacktrace") or {}).get("frames", [])
    for frame in frames:
        frame.pop("vars", None)
    return kept | {"value": "", "stacktrace": {"frames": frames}}
