from celery import shared_task

from . import outbox


@shared_task(soft_time_limit=240)
def drain_outbox() -> None:
    """Hand out what is due. The soft limit turns a call that hangs into a failure that is counted."""
    outbox.drain()


@shared_task
def forget_outbox() -> None:
    """Once a day: delete what was told a month ago. What one run leaves, the next ones find."""
    outbox.forget()
