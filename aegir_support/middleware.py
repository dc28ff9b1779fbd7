"""The layers around each view: its id and its line in the log, probes, a calm answer to an outage, and log-in."""

import re
import time
import uuid
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import psycopg
import structlog
from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import Error as DatabaseError
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import urlencode
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from . import deeds, logs, metrics
from .views import health, is_outage, overtaken, ready, unavailable

log = structlog.get_logger(__name__)

_SANE_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
Next = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Give each request an id, the proxy's where it sent a sane one; log one line and count it when it is answered."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-ID", "")
        request_id = sent if _SANE_ID.fullmatch(sent) else uuid.uuid4().hex
        started = time.perf_counter()
        with logs.request_bound(request, request_id):
            response = self.get_response(request)
            response["X-Request-ID"] = request_id
            self._note(request, response, time.perf_counter() - started)
        return response

    def _note(self, request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        # Static files have no route, and looking for one would take longer than all the rest of this.
        is_static = request.path.startswith(settings.STATIC_URL)
        route = "(static file)" if is_static else logs.route(request)
        status = response.status_code
        metrics.count_request(route=route, method=request.method or "", status=status, seconds=seconds)
        # Probes and static files come by the hundred and say nothing.
        quiet = is_static or request.path.startswith("/-/")
        tell = log.debug if quiet and status < 500 else log.info
        tell("request", method=request.method, route=route, status=status, ms=round(seconds * 1000))


class ProbeMiddleware:
    """Answer probes by whatever name: a load balancer asks for the machine's own number, which no list holds."""

    _probes = {"/-/health": health, "/-/ready": ready, "/-/metrics": metrics.metrics}

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._probes.get(request.path_info, self.get_response)(request)


class OutageMiddleware:
    """Answer 503 and "try again in five seconds" where a view met a database that is away or too busy.

    A statement or lock that ran into its time limit counts as well: the transaction was rolled back, nothing was
    saved, and the same request may succeed in a moment. What fails outside of a view comes to `views.server_error`.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not is_outage(exception):
            return None
        log.error("database away or too busy", route=logs.route(request), error=str(exception).strip())
        return unavailable()


class OvertakenMiddleware:
    """Answer 409 where the admin was about to save what somebody else had saved a moment before.

    Its forms look before they write, and do not lock. Elsewhere an action does, and such an error is a fault of ours.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, IntegrityError) or not request.path.startswith(reverse("admin:index")):
            return None
        log.warning("overtaken in the admin", route=logs.route(request), error=str(exception).strip())
        return overtaken()


class PrivateMiddleware:
    """What is shown to whoever comes with a session is theirs: no cache keeps it, on the way or at this desk."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if settings.SESSION_COOKIE_NAME in request.COOKIES and not response.has_header("Cache-Control"):
            response["Cache-Control"] = "private, no-store"
        return response


class LogInMiddleware(LoginRequiredMiddleware):
    """Where a part of a page finds the session ended, lead the whole page to log-in, not the form into the page."""

    def handle_no_permission(  # type: ignore[override]  # a redirect that htmx makes is no redirect to Django
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseBase:
        htmx = HtmxDetails(request)
        if not htmx:
            return super().handle_no_permission(request, view_func)
        query = urlencode({self.get_redirect_field_name(view_func): htmx.current_url_abs_path or "/"})
        return HttpResponseClientRedirect(f"{resolve_url(self.get_login_url(view_func))}?{query}")


# Exports of others' views; our own call `deeds.record("exported")`.
_EXPORTS = {"mfa_download_recovery_codes"}


class DeedsMiddleware:
    """Put on record who does something, and what they tried in vain: 403, and 404 where an address names a thing."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with deeds.told(deeds.of_request(request, from_where=_from_where(request))) as doer:
            response = self.get_response(request)
            try:
                self._note(request, response.status_code, doer.from_where)
                deeds.write_failures(doer)
            except (DatabaseError, psycopg.Error):  # the answer stands also where it cannot be put on record
                log.exception("deed not on record", route=logs.route(request), status=response.status_code)
        return response

    def _note(self, request: HttpRequest, status: int, from_where: str) -> None:
        address = request.resolver_match
        if status == 200 and address and address.view_name in _EXPORTS:
            deeds.record("exported")
        elif status in {403, 404}:
            self._note_failure(request, status, from_where)

    def _note_failure(self, request: HttpRequest, status: int, from_where: str) -> None:
        address = request.resolver_match
        if status == 404 and not (address and address.kwargs and request.user.is_authenticated):
            return
        # Anybody can be refused as often as they like: of one visitor at one place, one refusal a minute is enough.
        key = f"refused:{from_where}:{address.view_name if address else ''}"
        if not request.user.is_authenticated and not cache.add(key, 1, timeout=60):
            return
        # Numbers name things; what else an address holds may be a secret.
        named = {name: int(value) for name, value in (address.kwargs if address else {}).items() if _is_number(value)}
        details: dict[str, Any] = {"method": request.method or "", **named}
        deeds.record("refused" if status == 403 else "not_theirs", **details)


def _is_number(value: object) -> bool:
    return str(value).isascii() and str(value).isdecimal() and len(str(value)) < 19


def _from_where(request: HttpRequest) -> str:
    try:
        return str(ip_address(get_adapter(request).get_client_ip(request).split("%")[0]))
    except (ImproperlyConfigured, PermissionDenied, ValueError):  # a socket has no address, a proxy may send none
        return ""
