from celery import shared_task
from django.utils import timezone

from . import files, jobs, outbox


@shared_task(soft_time_limit=240)
def drain_outbox() -> None:
    """Hand out what is due. The soft limit turns a call that hangs into a failure that is counted."""
    outbox.drain()


@shared_task(soft_time_limit=30)
def heartbeat() -> None:
    """Every minute: show that clock, broker and workers do their part."""
    jobs.beat()


@shared_task
def check_invariants() -> None:
    """Once a night: hold the data against the sentences that must always be true."""
    jobs.check_invariants()


@shared_task
def forget_job_runs() -> None:
    """Once a day: delete what ran two weeks ago."""
    jobs.forget()


@shared_task
def forget_outbox() -> None:
    """Once a day: delete what was told a month ago. What one run leaves, the next ones find."""
    outbox.forget()


@shared_task(soft_time_limit=240)
def scan_files() -> None:
    """Every ten seconds: ask the scanner about what waits for it."""
    files.scan_wanted()


@shared_task
def remove_unused_files() -> None:
    """Once an hour: remove files that have had no reason for a day."""
    files.sweep(timezone.now())
