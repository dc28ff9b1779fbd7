"""What must not be lost: written with its reason, handed out once, repeated after a failure, parked after two days.

A row is locked while its handler runs, and marked done in the same commit. A process killed in between leaves the row
as it was, so the next one repeats it: every effect outside the database carries a key made from the row, by which
the other side can tell the repeat.

What a row says is a secret: it may hold the link that opens an account, or a client's words. Its key is not, and is
shown in the admin and in logs, so no key may hold a token.
"""

import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from . import logs
from .celery import app, impatient_broker
from .models import Outbox, OutboxQuerySet

log = structlog.get_logger(__name__)

DRAIN = "aegir_support.tasks.drain_outbox"
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
# Seven waits that double take an hour, 47 more of an hour each make it two days: long enough for a mail server to be
# mended, and shorter than the links in our mails work.
MOST_ATTEMPTS = 55
# A key keeps an event from being told twice as long as its row is there. What may repeat an event does so much sooner:
# jobs within minutes, webhooks within three days. So a month is enough.
KEPT = timedelta(days=30)

# How each kind of row is handed out. An app adds its own kinds in its AppConfig.ready.
handlers: dict[str, Callable[[Outbox], None]] = {}


def put(kind: str, payload: dict[str, object], *, key: str) -> None:
    """Write a row in the caller's transaction and hurry its hand-out along once that is committed.

    The same key again changes nothing, whatever its payload, and leaves the caller's transaction whole.
    """
    Outbox.objects.bulk_create(
        [Outbox(kind=kind, key=key, payload=payload, request_id=logs.request_id())], ignore_conflicts=True
    )
    # A hundred rows of one transaction need one nudge.
    if all(work is not nudge for _savepoints, work, *_ in connection.run_on_commit):
        transaction.on_commit(nudge)


def drain(*, most: int = 200, seconds: float = 60) -> int:
    """Hand out what is due, oldest first, and return how many rows were tried. Two drains never share a row."""
    started = time.monotonic()
    tried = 0
    while tried < most and time.monotonic() - started < seconds and _hand_out_next():
        tried += 1
    return tried


def _hand_out_next() -> bool:
    row = None
    try:
        with transaction.atomic(durable=True):
            row = _lock_next()
            if row is None:
                return False
            with bound_contextvars(request_id=row.request_id, outbox_key=row.key):
                handlers[row.kind](row)
            # Whoever it was for has it now, and nobody else needs it.
            payload = row.payload if settings.OUTBOX_KEEP_PAYLOAD else {}
            Outbox.objects.filter(pk=row.pk).update(done_at=timezone.now(), error="", payload=payload)
    except Exception as error:
        if row is None:
            raise
        _count_failure(row, error)
    return True


def _lock_next() -> Outbox | None:
    with connection.cursor() as cursor:
        # A slow mail server may take longer than a page is allowed to keep a transaction waiting.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '270s'")
    return Outbox.objects.due(timezone.now()).select_for_update(skip_locked=True).order_by("due_at", "pk").first()


def _count_failure(row: Outbox, error: Exception) -> None:
    attempts = row.attempts + 1
    now = timezone.now()
    # The lock went with the failed transaction. Where another drain was quicker, its count is the one that stands.
    untouched = Outbox.objects.waiting().filter(pk=row.pk, attempts=row.attempts)
    words = logs.without_details(f"{type(error).__name__}: {error}").replace("\0", "")[:1000]
    if attempts < MOST_ATTEMPTS:
        wait = min(FIRST_WAIT * 2 ** min(attempts - 1, 10), LONGEST_WAIT)
        untouched.update(attempts=attempts, error=words, due_at=now + wait)
        log.warning("outbox row failed", kind=row.kind, outbox_key=row.key, attempts=attempts, error=words)
    elif untouched.update(attempts=attempts, error=words, parked_at=now):
        log.error("outbox row parked", kind=row.kind, outbox_key=row.key, attempts=attempts, exc_info=error)


def send_again(rows: OutboxQuerySet) -> int:
    """Give parked rows two more days of attempts, from now. Returns how many were parked."""
    count = rows.parked().update(parked_at=None, attempts=0, due_at=timezone.now())
    transaction.on_commit(nudge)
    return count


def forget(*, most: int = 20_000) -> int:
    """Delete rows that were done a month ago, oldest first, and return how many. Parked ones wait for a person."""
    old = Outbox.objects.done().filter(done_at__lte=timezone.now() - KEPT).order_by("pk")
    count, _by_model = Outbox.objects.filter(pk__in=old.values("pk")[:most]).delete()
    return count


class _Broker:
    """When the broker failed last, so that a page does not wait for it again and again."""

    quiet_until = 0.0
    complain_after = 0.0


def nudge() -> None:
    """Ask a worker to drain now. Without a broker nothing is lost: the row stays, and the next beat finds it."""
    now = time.monotonic()
    if now < _Broker.quiet_until:
        return
    try:
        with impatient_broker() as broker:
            app.send_task(DRAIN, connection=broker, headers={"request_id": logs.request_id()})
    except Exception as error:  # noqa: BLE001 - the work is saved; no failure of the broker may undo the page
        _Broker.quiet_until = now + 5
        if now >= _Broker.complain_after:
            _Broker.complain_after = now + 60
            log.warning("broker away, work waits in the outbox", error=str(error))
