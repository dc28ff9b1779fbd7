"""How often somebody may try, and what they are told beyond it. All limits of the site are in this file.

One statement in PostgreSQL counts and decides, so that eight processes let through no more than one would, also while
the cache is away. It is its own transaction: what a request takes back, its try included, stays counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import NamedTuple

import structlog
from allauth.account.adapter import get_adapter
from allauth.account.internal.stagekit import unstash_login
from allauth.core.internal.ratelimit import truncate_ip
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import connection, transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.crypto import salted_hmac
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, ngettext_lazy
from django_stubs_ext import StrPromise

from .access import View
from .models import Tally

log = structlog.get_logger(__name__)


class Rule(NamedTuple):
    """At most `times` within `within`, for each of what `of` names; None is for nobody in particular, and free.

    `failures` counts only tries that failed: each is counted before anybody looks at it, and given back if it is right.
    """

    of: Callable[[HttpRequest], str | None]
    times: int
    within: timedelta
    failures: bool = False


class Try(NamedTuple):
    """A try that was counted: how many are left after it, below 0 where it was one too many, until the window ends."""

    left: int
    seconds: float

    @property
    def is_one_too_many(self) -> bool:
        return self.left < 0


@dataclass(frozen=True)
class Limit:
    """An act that is counted, the rules it must keep, and the sentence that explains them.

    What carries words is on the page that refuses it, to be sent again. `opens` is for the others: what is closed until
    when, and what works meanwhile; `closes` says beforehand what will happen.
    """

    act: str
    sentence: StrPromise
    rules: tuple[Rule, ...]
    applies: Callable[[HttpRequest], bool] = lambda request: request.method not in {"GET", "HEAD", "OPTIONS"}
    opens: StrPromise | None = None
    closes: StrPromise | None = None
    back: str = ""  # the name of the page that is offered instead; else the one that was tried


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

LOG_IN = Limit(
    "log-in",
    _GUESSING,
    (Rule(network, 60, _MINUTES), Rule(address, 10, _MINUTES, failures=True)),
    opens=_("Log-in by password opens again at %(clock)s (%(distance)s); %(meanwhile)s."),
    closes=_("After that, log-in by password waits until %(clock)s (%(length)s)."),
    back="account_login",
)
PASSKEY = Limit(
    "passkey",
    _GUESSING,
    (Rule(network, 60, _MINUTES),),
    opens=_("Log-in by passkey opens again at %(clock)s (%(distance)s); a password works meanwhile."),
    back="account_login",
)
SECOND_FACTOR = Limit(
    "second factor",
    _GUESSING,
    (Rule(network, 60, _MINUTES), Rule(half_way, 10, _MINUTES, failures=True)),
    opens=_("Codes, and passkeys as a second factor, are taken again at %(clock)s (%(distance)s)."),
    closes=_("After that, the second factor waits until %(clock)s (%(length)s)."),
)
IS_IT_YOU = Limit(
    "is it you",
    _GUESSING,
    (Rule(network, 60, _MINUTES), Rule(person, 10, _MINUTES, failures=True)),
    opens=_("Your password is asked for again at %(clock)s (%(distance)s); you stay logged in meanwhile."),
    closes=_("After that, this page waits until %(clock)s (%(length)s); you stay logged in."),
)
RESET = Limit(
    "reset",
    _("So that nobody’s mailbox is filled, we send only so many of these mails in a while."),
    (Rule(network, 20, timedelta(hours=1)), Rule(address, 5, timedelta(hours=1))),
    opens=_(
        "Such a mail can be asked for again at %(clock)s (%(distance)s). A link that came already works meanwhile."
    ),
    back="account_login",
)
CONFIRM = Limit(
    "confirm",
    _("So that nobody’s mailbox is filled, we send only so many of these mails in a while."),
    (Rule(person, 10, timedelta(hours=1)),),
    opens=_("Your addresses can be changed again at %(clock)s (%(distance)s)."),
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


# By what a rule counts: the sentence when it is used up, and the one shortly before.
_TOO_MANY: Mapping[object, StrPromise] = {
    address: _("Too many tries with this address."),
    network: _("Too many tries from where you are."),
    half_way: _("Too many tries with your account."),
    person: _("Too many tries with your account."),
}
_LEFT: Mapping[object, StrPromise] = {
    address: ngettext_lazy("One try is left with this address.", "%(n)d tries are left with this address.", "n"),
    network: ngettext_lazy("One try is left from where you are.", "%(n)d tries are left from where you are.", "n"),
    half_way: ngettext_lazy("One try is left.", "%(n)d tries are left.", "n"),
    person: ngettext_lazy("One try is left.", "%(n)d tries are left.", "n"),
}
_WARNED = 2


class _Counted(NamedTuple):
    limit: Limit
    rule: Rule
    act: str
    who: str
    tried: Try


def limited(*limits: Limit) -> Callable[[View], View]:
    """A view that answers 429 beyond these limits; words that were typed are on the page to be sent again."""

    def decorator(view: View) -> View:
        @wraps(view)
        def counted(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            tries = []
            for each in _count(request, limits):
                if each.tried.is_one_too_many:
                    return _refuse(request, each)
                tries.append(each)
            request.few_tries_left = _few_left(request, tries)  # type: ignore[attr-defined]
            response = view(request, *args, **kwargs)
            # Whoever gave the wrong password or code gets the form again: only what was right leads elsewhere.
            if response.status_code == 302:
                for each in tries:
                    if each.rule.failures:
                        give_back(each.act, each.who)
            return response

        return counted

    return decorator


def refusal(request: HttpRequest, *limits: Limit) -> HttpResponse | None:
    """Count this request, and the page that refuses it where that is too often; None while it is not."""
    return next((_refuse(request, each) for each in _count(request, limits) if each.tried.is_one_too_many), None)


def _count(request: HttpRequest, limits: tuple[Limit, ...]) -> Iterator[_Counted]:
    if not settings.RATE_LIMITS:
        return
    for limit in limits:
        if limit.applies(request):
            for place, rule in enumerate(limit.rules):
                who = rule.of(request)
                if who is not None:
                    act = f"{limit.act} {place}"
                    yield _Counted(limit, rule, act, who, count(act, who, rule.times, rule.within))


def count(act: str, who: str, times: int, within: timedelta) -> Try:
    """Count one try.

    The window begins with the first try and does not move: whoever goes on trying waits no longer for it.
    """
    # Durable: inside somebody's transaction the row would stay locked for others, and be taken back with it.
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_COUNT, [_key(act, who), within.total_seconds()])
        tries, left = cursor.fetchone()
    return Try(times - tries, max(float(left), 1.0))


def give_back(act: str, who: str) -> None:
    """Take one try out of the count, since it was right. Those that failed stay in it, whoever logs in meanwhile."""
    running = Tally.objects.filter(key=_key(act, who), count__gt=0, ends_at__gt=timezone.now())
    running.update(count=F("count") - 1)


def _key(act: str, who: str) -> str:
    return salted_hmac("members.limits", f"{act}:{who}", algorithm="sha256").hexdigest()


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


def _refuse(request: HttpRequest, counted: _Counted) -> HttpResponse:
    limit, rule = counted.limit, counted.rule
    log.warning("limit reached", act=limit.act, rule=limit.rules.index(rule))
    seconds = int(counted.tried.seconds) + 1
    minutes = -(-seconds // 60)
    again = ngettext("Try again in a minute.", "Try again in %(minutes)d minutes.", minutes) % {"minutes": minutes}
    facts: dict[str, object] = {"sentence": limit.sentence, "when": again}
    if limit.opens:
        facts |= {"too_many": _TOO_MANY[rule.of], "when": limit.opens % _until(request, counted.tried)}
        facts["back"] = _back(request, limit)
    else:
        facts |= {"typed": list(_typed(request)), "files": carries_files(request)}
    template = "limits/part.html" if request.headers.get("HX-Request") else "limits/page.html"
    response = render(request, template, facts, status=429)
    response["Retry-After"] = str(seconds)
    return response


def _few_left(request: HttpRequest, tries: list[_Counted]) -> str:
    """The sentence before the last tries, the same whether anybody has the address or not; else nothing."""
    tight = [each for each in tries if each.limit.closes and each.tried.left <= _WARNED]
    if not tight:
        return ""
    limit, rule, _act, _who, tried = min(tight, key=lambda each: each.tried.left)
    sentences = (
        (_LEFT[rule.of] % {"n": tried.left}, limit.closes) if tried.left else (_("That was the last try."), limit.opens)
    )
    return f"{sentences[0]} {sentences[1] % _until(request, tried)}"  # type: ignore[operator]


def _until(request: HttpRequest, tried: Try) -> dict[str, str]:
    """When a window ends, in words: by the reader's clock where we know it, else by ours, which then is named."""
    minutes = -(-(int(tried.seconds) + 1) // 60)
    ends_at: datetime = timezone.localtime(timezone.now() + timedelta(seconds=tried.seconds))
    return {
        "clock": formats.date_format(ends_at, "H:i" if request.user.is_authenticated else "H:i T"),
        "length": ngettext("a minute", "%(n)d minutes", minutes) % {"n": minutes},
        "distance": ngettext("in a minute", "in %(n)d minutes", minutes) % {"n": minutes},
        "meanwhile": str(
            _("a passkey works meanwhile, and so does log-in with %(name)s") % {"name": settings.OIDC_NAME}
            if settings.OIDC_NAME
            else _("a passkey works meanwhile")
        ),
    }


def _back(request: HttpRequest, limit: Limit) -> str:
    if not limit.back:
        return request.get_full_path()
    following = request.POST.get("next")
    return reverse(limit.back) + (f"?{urlencode({'next': following})}" if following else "")


def _typed(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """What came with the form, without its secrets."""
    for name, values in request.POST.lists():
        if not any(word in name for word in ("password", "csrf", "code", "credential")):
            yield from ((name, str(value)) for value in values)
