"""How often somebody may try, and what they are told beyond it. All limits of the site are in this file.

One statement in PostgreSQL counts and decides, so that eight processes let through no more than one would, also while
the cache is away. It is its own transaction: what a request takes back, its try included, stays counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import NamedTuple

import structlog
from allauth.account.adapter import get_adapter
from allauth.account.internal.stagekit import unstash_login
from allauth.core.internal.ratelimit import truncate_ip
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django_stubs_ext import StrPromise

from .models import Tally

log = structlog.get_logger(__name__)

View = Callable[..., HttpResponseBase]


class Rule(NamedTuple):
    """At most `times` within `within`, for each of what `of` names; None is for nobody in particular, and free."""

    of: Callable[[HttpRequest], str | None]
    times: int
    within: timedelta


@dataclass(frozen=True)
class Limit:
    """An act that is counted, the rules it must keep, and the sentence that explains them."""

    act: str
    sentence: StrPromise
    rules: tuple[Rule, ...]
    applies: Callable[[HttpRequest], bool] = lambda request: request.method not in {"GET", "HEAD", "OPTIONS"}


def network(request: HttpRequest) -> str:
    """Where a request comes from, as far as our own proxies can be believed; one home's IPv6 addresses are one."""
    try:
        return str(truncate_ip(get_adapter().get_client_ip(request)))
    except (PermissionDenied, ImproperlyConfigured):
        # Nobody can tell, as on a socket without a proxy: all of them share what one may do.
        return "unknown"


def person(request: HttpRequest) -> str | None:
    return str(request.user.pk) if request.user.is_authenticated else None


def address(request: HttpRequest) -> str | None:
    """The e-mail address that was typed, whether anybody has it or not."""
    typed = request.POST.get("login") or request.POST.get("email") or ""
    return typed.strip().lower()[:254] or None


def half_way(request: HttpRequest) -> str | None:
    """Whoever gave a password and still owes the second factor; or is in already, and is asked once more."""
    login = unstash_login(request, peek=True)
    return str(login.user.pk) if login and login.user else person(request)


def carries_files(request: HttpRequest) -> bool:
    return request.method == "POST" and bool(request.FILES)


_GUESSING = _("To keep strangers from guessing, we take only so many tries in a while.")
_MINUTES = timedelta(minutes=10)

LOG_IN = Limit("log-in", _GUESSING, (Rule(network, 60, _MINUTES), Rule(address, 10, _MINUTES)))
PASSKEY = Limit("passkey", _GUESSING, (Rule(network, 60, _MINUTES),))
SECOND_FACTOR = Limit("second factor", _GUESSING, (Rule(network, 60, _MINUTES), Rule(half_way, 10, _MINUTES)))
IS_IT_YOU = Limit("is it you", _GUESSING, (Rule(network, 60, _MINUTES), Rule(person, 10, _MINUTES)))
RESET = Limit(
    "reset",
    _("So that nobody’s mailbox is filled, we send only so many of these mails in a while."),
    (Rule(network, 20, timedelta(hours=1)), Rule(address, 5, timedelta(hours=1))),
)
CONFIRM = Limit(
    "confirm",
    _("So that nobody’s mailbox is filled, we send only so many of these mails in a while."),
    (Rule(person, 10, timedelta(hours=1)),),
)
INVITE = Limit(
    "invite", _("We send only so many invitations for one person in an hour."), (Rule(person, 30, timedelta(hours=1)),)
)
FILE = Limit("file", _("We take only so many new tickets from one person in a while."), (Rule(person, 20, _MINUTES),))
REPLY = Limit("reply", _("We take only so many messages from one person in a while."), (Rule(person, 60, _MINUTES),))
PREVIEW = Limit("preview", _("We show only so many previews in a minute."), (Rule(person, 60, timedelta(minutes=1)),))
UPLOAD = Limit(
    "upload",
    _("We take files from one person only so many times in a while."),
    (Rule(person, 60, _MINUTES),),
    applies=carries_files,
)


def limited(*limits: Limit) -> Callable[[View], View]:
    """A view that answers 429 beyond these limits; what was typed is on the page to be sent again."""

    def decorator(view: View) -> View:
        @wraps(view)
        def counted(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            return refusal(request, *limits) or view(request, *args, **kwargs)

        return counted

    return decorator


def refusal(request: HttpRequest, *limits: Limit) -> HttpResponse | None:
    """Count this request, and the page that refuses it where that is too often; None while it is not."""
    if not settings.RATE_LIMITS:
        return None
    for limit in limits:
        if limit.applies(request):
            for place, rule in enumerate(limit.rules):
                who = rule.of(request)
                if who is not None and (wait := count(f"{limit.act} {place}", who, rule.times, rule.within)):
                    log.warning("limit reached", act=limit.act, rule=place)
                    return _refuse(request, limit, wait)
    return None


def count(act: str, who: str, times: int, within: timedelta) -> float:
    """Count one try; the seconds to wait where it is one too many, else 0.

    The window begins with the first try and does not move: whoever goes on trying waits no longer for it.
    """
    key = salted_hmac("members.limits", f"{act}:{who}", algorithm="sha256").hexdigest()
    # Durable: inside somebody's transaction the row would stay locked for others, and be taken back with it.
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_COUNT, [key, within.total_seconds()])
        tries, left = cursor.fetchone()
    return max(float(left), 1.0) if tries > times else 0.0


# The time is the statement's beginning for all three of its uses, or a window could end in between two of them.
_COUNT = """
INSERT INTO members_tally AS tally (key, count, ends_at)
VALUES (%s, 1, statement_timestamp() + %s * interval '1 second')
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN tally.ends_at <= statement_timestamp() THEN 1 ELSE tally.count + 1 END,
    ends_at = CASE WHEN tally.ends_at <= statement_timestamp() THEN excluded.ends_at ELSE tally.ends_at END
RETURNING count, extract(epoch FROM ends_at - statement_timestamp())
"""


def forget() -> int:
    """Delete what has been counted and is over. Returns how many."""
    return Tally.objects.filter(ends_at__lt=timezone.now()).delete()[0]


def _refuse(request: HttpRequest, limit: Limit, wait: float) -> HttpResponse:
    seconds = int(wait) + 1
    minutes = -(-seconds // 60)
    when = ngettext("Try again in a minute.", "Try again in %(minutes)d minutes.", minutes) % {"minutes": minutes}
    facts = {"sentence": limit.sentence, "when": when, "typed": list(_typed(request)), "files": carries_files(request)}
    template = "limits/part.html" if request.headers.get("HX-Request") else "limits/page.html"
    response = render(request, template, facts, status=429)
    response["Retry-After"] = str(seconds)
    return response


def _typed(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """What came with the form, without its secrets."""
    for name, values in request.POST.lists():
        if not any(word in name for word in ("password", "csrf", "code", "credential")):
            yield from ((name, str(value)) for value in values)
