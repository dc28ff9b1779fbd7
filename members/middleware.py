from collections.abc import Callable
from zoneinfo import ZoneInfo

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from . import access, sessions

GetResponse = Callable[[HttpRequest], HttpResponse]

# What somebody without a second factor still needs: to set one up, to log out, and to be told the site is well.
_ALWAYS_OPEN = ("/accounts/", "/static/", "/-/")


class SecondFactorMiddleware:
    """Whoever must use a second factor sets it up before anything else; allauth has no such setting."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SECOND_FACTOR_REQUIRED and self._is_missing(request):
            return redirect("mfa_index")  # the choice is theirs: an app or a passkey
        return self.get_response(request)

    def _is_missing(self, request: HttpRequest) -> bool:
        return (
            not request.path_info.startswith(_ALWAYS_OPEN)
            and access.is_person(request.user)
            and access.must_use_second_factor(request.user)
            and not is_mfa_enabled(request.user)
        )


class TimeZoneMiddleware:
    """Times are shown in the reader's own time zone."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not access.is_person(request.user):
            return self.get_response(request)
        with timezone.override(ZoneInfo(request.user.time_zone)):
            return self.get_response(request)


class LastSeenMiddleware:
    """The list of places where one is logged in says when somebody was last there."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if access.is_person(request.user):
            sessions.note(request)
        return self.get_response(request)
