from celery import shared_task
from django.utils import timezone

from . import actions


@shared_task
def sweep() -> None:
    """Twice a minute: do what time asks for. Everything is found in rows, so it can run twice or not at all."""
    actions.sweep(timezone.now())
