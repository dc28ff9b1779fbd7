"""Where somebody is logged in, and how that ends.

Each session carries the epoch of its person (`User.session_epoch`), which triggers raise when a password, a role or a
second factor changes: whatever carries the former one is logged out with its next request. Who changes their own
password or second factor stays logged in where they did it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps

from allauth.account.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib import auth, messages
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from . import devices
from .access import View, signed_in
from .models import User

SEEN_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class Place:
    """A browser in which somebody is logged in. `seen_at` is right to five minutes."""

    pk: int
    device: str
    ip: str
    began_at: datetime
    seen_at: datetime
    is_this: bool


def places(request: HttpRequest) -> list[Place]:
    """Where this person is logged in, the latest first."""
    user = signed_in(request)
    rows = UserSession.objects.filter(user=user).order_by("-last_seen_at", "-pk")
    if not rows.filter(session_key=request.session.session_key).exists():
        UserSession.objects.create_from_request(request)
    alive = Session.objects.filter(session_key__in=rows.values("session_key"), expire_date__gt=timezone.now())
    ours = user.get_session_auth_hash()
    keys = {each.session_key for each in alive if each.get_decoded().get(auth.HASH_SESSION_KEY) == ours}
    return [_place(row, request) for row in rows if row.session_key in keys]


@transaction.atomic
def end(user: User, pk: int) -> bool:
    """Log this person out in one place. False where there is none such, or it has ended."""
    for row in UserSession.objects.filter(user=user, pk=pk):
        Session.objects.filter(session_key=row.session_key).delete()
        row.delete()
        return True
    return False


@transaction.atomic
def end_others(request: HttpRequest) -> None:
    """Log this person out everywhere else, also where the list of places knows nothing of it."""
    user = signed_in(request)
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    rows = UserSession.objects.filter(user=user).exclude(session_key=request.session.session_key)
    Session.objects.filter(session_key__in=rows.values("session_key")).delete()
    rows.delete()


def keeping_this_one(view: View) -> View:
    """A view by which people change their own password or second factor, or end their sessions: this one goes on.

    The person's row is locked meanwhile, so that an epoch begun by somebody else's act, which is meant to end this
    session too, is never taken for our own.
    """

    @wraps(view)
    def kept(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if request.method != "POST" or not request.user.is_authenticated:
            return view(request, *args, **kwargs)
        with transaction.atomic():
            before = User.objects.select_for_update(of=("self",), no_key=True).get(pk=request.user.pk)
            if not _belongs_to(request, before):
                auth.logout(request)
                messages.info(request, _("You were logged out everywhere. Please log in again."))
                return redirect("account_login")
            response = view(request, *args, **kwargs)
            _carry_on(request, before)
        return response

    return kept


def note(request: HttpRequest) -> None:
    """Remember that this person was here, and from where; at most once in five minutes."""
    key = request.session.session_key
    if key and cache.add(f"seen:{hashlib.sha256(key.encode()).hexdigest()}", 1, SEEN_EVERY.total_seconds()):
        now = timezone.now()
        UserSession.objects.filter(session_key=key, last_seen_at__lt=now - SEEN_EVERY).update(
            last_seen_at=now, ip=get_adapter().get_client_ip(request)
        )


def _belongs_to(request: HttpRequest, user: User) -> bool:
    return constant_time_compare(request.session.get(auth.HASH_SESSION_KEY, ""), user.get_session_auth_hash())


def _carry_on(request: HttpRequest, before: User) -> None:
    after = User.objects.get(pk=before.pk)
    if after.session_epoch == before.session_epoch or not request.user.is_authenticated:
        return
    former = request.session.session_key
    request.user.session_epoch, request.user.password = after.session_epoch, after.password
    auth.update_session_auth_hash(request, request.user)
    UserSession.objects.filter(session_key=former).update(session_key=request.session.session_key)


def _place(row: UserSession, request: HttpRequest) -> Place:
    return Place(
        pk=row.pk,
        device=devices.in_words(row.user_agent),
        ip=row.ip,
        began_at=row.created_at,
        seen_at=row.last_seen_at,
        is_this=row.session_key == request.session.session_key,
    )
