"""Jobs as they are often written, for the controls: `celery -A tests.faults.naive worker`.

The message is sent in the task, which is called after the commit; Celery's own defaults, no row that remembers.
"""

from functools import partial

import django
from celery import Celery
from django.conf import settings
from django.db import transaction
from django.utils import timezone

django.setup()

from aegir_support import outbox  # noqa: E402
from aegir_support.models import Outbox  # noqa: E402

# An app of its own, so that the tests that import this keep the project's settings.
app = Celery("naive", broker=settings.CELERY_BROKER_URL, set_as_current=False)


@app.task(name="tests.faults.naive.tell")
def tell(pk):
    row = Outbox.objects.get(pk=pk)
    outbox.handlers[row.kind](row)


def put(kind, payload, *, key):
    """Takes the place of `outbox.put`. The row is only for the judge, who must know what was to be told."""
    row = Outbox.objects.create(kind=kind, key=key, payload=payload, done_at=timezone.now())
    transaction.on_commit(partial(_call, row.pk))


def _call(pk):
    with app.connection_for_write() as broker:  # not of a pool, which would remember the last test's
        tell.apply_async((pk,), connection=broker)
