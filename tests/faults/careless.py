"""The project's jobs with an outbox that writes "done" before it sends: `celery -A tests.faults.careless worker`.

It is what the outbox is guarded against: a process killed in between loses the row.
"""

import django
from django.utils import timezone

from aegir_support.celery import app

django.setup()  # Celery does this later, and models cannot be imported before

from aegir_support import outbox  # noqa: E402
from aegir_support.models import Outbox  # noqa: E402

__all__ = ["app"]


def _mark_then_send():
    row = Outbox.objects.due(timezone.now()).order_by("due_at", "pk").first()
    if row is None or not Outbox.objects.waiting().filter(pk=row.pk).update(done_at=timezone.now()):
        return row is not None
    outbox.handlers[row.kind](row)
    return True


outbox._hand_out_next = _mark_then_send
