"""Looks from within each web process whether the jobs are alive, and tells when they are not.

Jobs cannot report their own silence, and a mail through the outbox would wait for them. So a thread of every web
process looks, and mails ALARM_EMAIL itself: once when something begins and once when it is over, whichever process was
first to change the row of that alarm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import Error, connection, transaction
from django.db.models import Max, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import jobs, metrics
from .models import Alarm, JobRun, Outbox

log = structlog.get_logger(__name__)

OUTBOX_LATE = timedelta(minutes=10)
# Who claimed to tell and has not told by then was killed or met a mail server that is away: the next one tells.
CLAIM_LASTS = timedelta(minutes=2)
# More of what was told is told again, but a hundred rows that fail one by one are no hundred mails.
MORE_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class Watch:
    """One thing to look at. `look` returns a sentence for the mail while something is wrong, else nothing.

    `newest` says when the last of it came to be, where what comes later is another thing to tell.
    """

    name: str
    look: Callable[[datetime], str]
    subject: Callable[[], str]
    over: Callable[[], str]
    newest: Callable[[], datetime | None] = lambda: None


class _State:
    """What this process knows."""

    started_at: datetime = timezone.now()
    jobs_silent = False
    database_away = False
    thread: threading.Thread | None = None


def start() -> None:
    """Look every WATCHDOG_SECONDS from now on, in a thread that ends with the process. 0 seconds: never."""
    if settings.WATCHDOG_SECONDS and _State.thread is None:
        _State.started_at = timezone.now()
        _State.thread = threading.Thread(target=_watch_for_ever, name="watchdog", daemon=True)
        _State.thread.start()


def jobs_are_silent() -> bool:
    """What the last look of this process found; asks nobody."""
    return _State.jobs_silent


def _watch_for_ever() -> None:
    while True:
        time.sleep(settings.WATCHDOG_SECONDS)
        try:
            look()
        except Error as error:
            _note_outage(error)
        except Exception:  # a thread that ends would be a watchdog that sleeps
            log.exception("watchdog failed")
        finally:
            connection.close()


def look() -> None:
    """Look at everything once. Raises what the database raises."""
    metrics.count_pool()
    for watch in WATCHES:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '5s'")
            wrong = watch.look(timezone.now())
        if watch is SILENCE:
            _State.jobs_silent = bool(wrong)
        if _is_mine_to_tell(watch, wrong):
            _tell(watch, wrong)
    if _State.database_away:
        _State.database_away = False
        log.warning("watchdog reaches the database again")


def _note_outage(error: Error) -> None:
    if not _State.database_away:
        _State.database_away = True
        log.error("watchdog cannot reach the database", error=type(error).__name__)


# Whose it is to tell


def _is_mine_to_tell(watch: Watch, wrong: str) -> bool:
    now = timezone.now()
    Alarm.objects.bulk_create([Alarm(name=watch.name, told_at=now)], ignore_conflicts=True)
    rows = Alarm.objects.filter(name=watch.name)
    # One UPDATE decides between all web processes; the others find the row changed already.
    turned = rows.filter(is_raised=not wrong).update(is_raised=bool(wrong), since=now, claimed_at=now, told_at=None)
    if turned or (wrong and _is_more(watch, rows, now)):
        (log.error if wrong else log.warning)("alarm" if wrong else "alarm is over", alarm=watch.name, reason=wrong)
        return True
    return bool(rows.filter(told_at=None, claimed_at__lte=now - CLAIM_LASTS).update(claimed_at=now))


def _is_more(watch: Watch, rows: QuerySet[Alarm], now: datetime) -> bool:
    newest = watch.newest()
    if newest is None:
        return False
    more = rows.filter(is_raised=True, since__lt=newest, told_at__lte=now - MORE_AFTER)
    return bool(more.update(since=now, claimed_at=now, told_at=None))


def _tell(watch: Watch, wrong: str) -> None:
    row = Alarm.objects.get(name=watch.name)
    if settings.ALARM_EMAIL:
        try:
            _message(watch, wrong, row).send()
        except Exception as error:  # noqa: BLE001 - whatever the mail server says, the next look tries again
            log.error("alarm not mailed", alarm=watch.name, error=type(error).__name__)  # noqa: TRY400
            return
    Alarm.objects.filter(pk=row.pk, claimed_at=row.claimed_at).update(told_at=timezone.now())


def _message(watch: Watch, wrong: str, row: Alarm) -> EmailMessage:
    subject = watch.subject() if wrong else watch.over()
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    where = _("Where to look: %(url)s") % {"url": f"{settings.SITE_URL}/admin/aegir_support/"}
    return EmailMessage(
        subject=f"{settings.PROJECT_NAME}: {subject}",
        body=f"{wrong or subject}\n\n{where}\n",
        from_email=settings.SERVER_EMAIL,
        to=settings.ALARM_EMAIL,
        # The same for every attempt, so that a repeat is recognised.
        headers={
            "Message-ID": f"<alarm.{row.name}.{row.since.timestamp()}@{host}>",
            "Auto-Submitted": "auto-generated",
        },
    )


# What is looked at


def _silence(now: datetime) -> str:
    last = jobs.last_heartbeat()
    # After the whole site was stopped, the clock gets its three minutes like everybody else.
    since = max(last, _State.started_at) if last else _State.started_at
    if now - since < timedelta(minutes=settings.HEARTBEAT_ALARM_MINUTES):
        return ""
    if last is None:
        return _("No job has run yet. Mails and deadlines wait until worker and beat run.")
    return _("No job has run since %(time)s. Mails and deadlines wait until worker and beat run.") % {
        "time": f"{last:%Y-%m-%d %H:%M} UTC"
    }


def _outbox_late(now: datetime) -> str:
    oldest = Outbox.objects.due(now - OUTBOX_LATE).order_by("due_at").first()
    if oldest is None:
        return ""
    return _("What was due at %(time)s is still waiting: %(kind)s, %(key)s.") % {
        "time": f"{oldest.due_at:%Y-%m-%d %H:%M} UTC",
        "kind": oldest.kind,
        "key": oldest.key,
    }


def _outbox_parked(now: datetime) -> str:
    parked = Outbox.objects.parked().count()
    words = ngettext(
        "%(n)d row of the outbox failed for two days and is parked.",
        "%(n)d rows of the outbox failed for two days and are parked.",
        parked,
    )
    return words % {"n": parked} if parked else ""


def _last_parked() -> datetime | None:
    found: datetime | None = Outbox.objects.parked().aggregate(last=Max("parked_at"))["last"]
    return found


def _invariants_broken(now: datetime) -> str:
    last = JobRun.objects.of(jobs.INVARIANTS).order_by("-ran_at").first()
    return last.error if last and last.failures == last.runs else ""


SILENCE = Watch(
    "jobs_silent", _silence, lambda: _("jobs are silent"), lambda: _("jobs run again, the heartbeat is back")
)
WATCHES = (
    SILENCE,
    Watch("outbox_late", _outbox_late, lambda: _("the outbox is late"), lambda: _("the outbox is in time again")),
    Watch(
        "outbox_parked",
        _outbox_parked,
        lambda: _("something in the outbox is parked"),
        lambda: _("nothing in the outbox is parked any more"),
        _last_parked,
    ),
    Watch(
        "invariants_broken",
        _invariants_broken,
        lambda: _("the data contradicts itself"),
        lambda: _("the data is consistent again"),
    ),
)
