from celery import shared_task

from . import codes, limits


@shared_task
def forget() -> None:
    """Once a day: delete what was counted and is over, and the marks of codes that cannot come again."""
    limits.forget()
    codes.forget()
