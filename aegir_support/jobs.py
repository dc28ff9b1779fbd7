"""What the periodic jobs did and when, written down as they end, and the heartbeat that shows that jobs run at all."""

from __future__ import annotations

import http.client
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog
from celery.schedules import crontab
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Max, Sum
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import invariants
from .models import JobRun

log = structlog.get_logger(__name__)

HEARTBEAT = "aegir_support.tasks.heartbeat"
INVARIANTS = "aegir_support.tasks.check_invariants"
KEPT = timedelta(days=14)


class Finding(Exception):
    """A job did its work and found something that a person must look at; the message may be shown to any admin."""


def periodic() -> dict[str, str]:
    """What the clock starts, by the name of the task: its name in the schedule."""
    return {entry["task"]: name for name, entry in settings.CELERY_BEAT_SCHEDULE.items()}


def plain_name(job: str) -> str:
    """What the schedule calls a task; of one that is no longer in it, the name of the task."""
    return periodic().get(job, job)


def due_in_words(schedule: timedelta | crontab) -> str:
    """ "every 10 seconds", "each night at 03:20 UTC": when the clock starts a job."""
    if isinstance(schedule, timedelta):
        seconds = int(schedule.total_seconds())
        return ngettext("every second", "every %(n)d seconds", seconds) % {"n": seconds}
    # The stubs do not know these two sets.
    hours, minutes = sorted(schedule.hour), sorted(schedule.minute)  # type: ignore[attr-defined]
    if len(minutes) == 60:
        return _("every minute")
    if len(hours) == 24:
        return _("each hour at minute %(minutes)s") % {"minutes": ", ".join(map(str, minutes))}
    clock = ", ".join(f"{hour:02}:{minute:02}" for hour in hours for minute in minutes)
    at_night = _("each night at %(clock)s UTC") if max(hours) < 6 else _("each day at %(clock)s UTC")
    return at_night % {"clock": clock}


def took_in_words(seconds: float) -> str:
    """ "14 ms" below a second, "2.5 s" from there on."""
    if seconds < 1:
        return _("%(n)d ms") % {"n": round(seconds * 1000)}
    return _("%(n)s s") % {"n": number_format(round(seconds, 1), 1)}


@contextmanager
def recorded(job: str) -> Iterator[None]:
    """Write down how the work inside went, if it is a job of the clock's. The heartbeat writes its own row."""
    if job == HEARTBEAT or job not in periodic():
        yield
        return
    started = time.monotonic()
    error = ""
    try:
        yield
    except Exception as failure:
        # The words of an error may hold anybody's words; the log has them, and who reads it is chosen with care.
        error = str(failure) if isinstance(failure, Finding) else type(failure).__name__
        raise
    finally:
        _write_down(job, seconds=time.monotonic() - started, error=error)


def _write_down(job: str, *, seconds: float, error: str) -> None:
    now = timezone.now()
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO aegir_support_jobrun AS run (job, slot, ran_at, seconds, runs, failures, error)
                VALUES (%s, %s, %s, %s, 1, %s, %s)
                ON CONFLICT (job, slot) DO UPDATE SET ran_at = excluded.ran_at, seconds = excluded.seconds,
                    runs = run.runs + 1, failures = run.failures + excluded.failures,
                    error = CASE WHEN excluded.error = '' THEN run.error ELSE excluded.error END
                """,
                [job, _minute(now), now, seconds, 1 if error else 0, error],
            )
    except DatabaseError as failure:  # the work itself is done or has failed, and this changes nothing about it
        log.warning("run of a job not written down", job=job, error=type(failure).__name__)


def beat() -> None:
    """The heartbeat: one row for this minute, however many clocks strike, and a word to who watches from outside."""
    now = timezone.now()
    _run, is_first = JobRun.objects.get_or_create(job=HEARTBEAT, slot=_minute(now), defaults={"ran_at": now})
    if is_first and settings.HEARTBEAT_URL:
        _tell_outside(settings.HEARTBEAT_URL)


def _tell_outside(url: str) -> None:
    # Whoever knows the address can speak in our place, so it is never logged.
    parts = urlsplit(url)
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    context = ssl.create_default_context()
    try:
        asking = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=5, context=context)
        try:
            asking.request("GET", path, headers={"User-Agent": "heartbeat"})
            status = asking.getresponse().status  # where it would send us on to, we do not go
        finally:
            asking.close()
    except (OSError, http.client.HTTPException) as error:
        log.warning("heartbeat not taken outside", error=type(error).__name__)
    else:
        if status >= 300:
            log.warning("heartbeat not taken outside", status=status)


def last_heartbeat() -> datetime | None:
    """When a worker last did what a clock asked for."""
    found: datetime | None = JobRun.objects.of(HEARTBEAT).aggregate(last=Max("ran_at"))["last"]
    return found


def check_invariants() -> None:
    """Raises Finding with every sentence that is not true now. The rows stay in the database, for who may read them."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            # A sentence about everything may take longer than a page is allowed to.
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute("SET LOCAL statement_timeout = '240s'")
        broken = Counter(found.partition(" {")[0] for found in invariants.broken())
    if broken:
        lines = [f"{sentence} ({count})" for sentence, count in sorted(broken.items())]
        log.error("invariants broken", sentences=lines)
        raise Finding("\n".join(["Not true in the data, and how often:", *lines]))


@dataclass(frozen=True)
class Record:
    """How one periodic job fares."""

    job: str
    name: str
    due: str
    last_success: JobRun | None
    last_failure: JobRun | None
    failures_in_a_day: int

    @property
    def took(self) -> str:
        return took_in_words(self.last_success.seconds) if self.last_success else ""


def records() -> list[Record]:
    """How each periodic job fares, in the order of the schedule."""
    schedule = settings.CELERY_BEAT_SCHEDULE.items()
    return [_record(entry["task"], name, due_in_words(entry["schedule"])) for name, entry in schedule]


def _record(job: str, name: str, due: str) -> Record:
    runs = JobRun.objects.of(job).order_by("-slot")
    failures = runs.failed().filter(slot__gt=timezone.now() - timedelta(days=1)).aggregate(n=Sum("failures"))["n"]
    return Record(job, name, due, runs.went_well().first(), runs.failed().first(), failures or 0)


def forget() -> int:
    """Delete what ran two weeks ago, except the last success of each job, and return how many rows that were."""
    kept = [record.last_success.pk for record in records() if record.last_success]
    old = JobRun.objects.filter(slot__lte=timezone.now() - KEPT).exclude(pk__in=kept)
    count, _by_model = old.delete()
    return count


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
