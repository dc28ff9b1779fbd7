"""Pages that belong to no app: the front door, the probes, the errors, and the demo's mailbox.

Error pages are drawn without the request: whatever broke it, the database included, must not break them too.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import psycopg
import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from . import logs, text
from .celery import impatient_broker
from .models import Outbox

log = structlog.get_logger(__name__)


@login_not_required
@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("members:home")
    return render(request, "landing.html")


@login_not_required
@require_safe
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    """This process answers. Load balancers ask here: pages can be served without the broker."""
    return HttpResponse("ok", content_type="text/plain")


@login_not_required
@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """Whether all that this process needs is there. Deployments and monitoring ask here; it answers within 2 s."""
    state = _Readiness.now()
    return JsonResponse(state, status=200 if set(state.values()) == {"ok"} else 503)


class _Readiness:
    """What was found a moment ago. Anybody may ask, so one process looks once a second however many do."""

    lock = threading.Lock()
    good_until = 0.0
    state: dict[str, str] = {}

    @classmethod
    def now(cls) -> dict[str, str]:
        with cls.lock:
            if time.monotonic() >= cls.good_until:
                cls.state = _look()
                cls.good_until = time.monotonic() + 1
            return cls.state


def _look() -> dict[str, str]:
    checks = {"database": _ask_database, "broker": _ask_broker, "migrations": _ask_migrations}
    pool = ThreadPoolExecutor(len(checks), thread_name_prefix="ready")
    asked = {name: pool.submit(check) for name, check in checks.items()}
    answered, _late = wait(asked.values(), timeout=1.8)
    pool.shutdown(wait=False)
    return {
        name: "ok" if answer in answered and answer.exception() is None and answer.result() else "missing"
        for name, answer in asked.items()
    }


def _ask_database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()
    return True


def _ask_broker() -> bool:
    with impatient_broker() as broker:
        return broker.default_channel is not None


class _Migrations:
    """Migrations are never taken back under a running process, so one look that found all of them is enough."""

    applied = False


def _ask_migrations() -> bool:
    if not _Migrations.applied:
        try:
            executor = MigrationExecutor(connection)
            _Migrations.applied = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        finally:
            connection.close()
    return _Migrations.applied


@login_not_required
@require_safe
def sent_mail(request: HttpRequest) -> HttpResponse:
    """The mailbox of everyone in the demo: its last hundred messages, of one address where `?to=` names it."""
    rows = Outbox.objects.filter(kind="mail")
    if to := text.one_line(request.GET.get("to", "")):
        rows = rows.filter(payload__to__contains=[to])
    return render(request, "demo/mail.html", {"mails": [_mail(row) for row in rows[:100]], "to": to})


def _mail(row: Outbox) -> dict[str, object]:
    payload = row.payload
    return {
        "to": ", ".join(payload["to"]),
        "subject": payload["subject"],
        "text": payload["text"],
        "html": payload["html"],
        "created_at": row.created_at,
        "done_at": row.done_at,
    }


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(404)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form was open for too long, or its sender logged in elsewhere meanwhile."""
    return _error_page(403, "errors/403_csrf.html")


def server_error(request: HttpRequest) -> HttpResponse:
    error = sys.exc_info()[1]
    # A session or a user that could not be fetched fails before any view, where OutageMiddleware is not asked.
    return unavailable() if error is not None and is_outage(error) else _error_page(500)


def overtaken() -> HttpResponse:
    """Somebody else saved the same a moment before. Nothing was saved here."""
    return _error_page(409)


def unavailable() -> HttpResponse:
    """The same request may succeed in five seconds.

    Nothing was saved, unless the very commit was cut off, which nobody here can know: a form's key tells its repeat.
    """
    response = _error_page(503)
    response["Retry-After"] = "5"
    return response


def is_outage(error: BaseException) -> bool:
    """The database is away, out of connections, or broke off what took too long."""
    return isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError)


def _error_page(status: int, template: str = "") -> HttpResponse:
    words = {
        "project_name": settings.PROJECT_NAME,
        "is_demo": settings.DEMO,
        "request_id": logs.request_id(),
        "status": status,
    }
    try:
        page = render_to_string(template or f"errors/{status}.html", words)
    except Exception:
        log.exception("error page failed", status=status)
        return HttpResponse(_("Something went wrong. Please try again."), status=status, content_type="text/plain")
    return HttpResponse(page, status=status)
