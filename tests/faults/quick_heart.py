"""The jobs with a heart that beats every second, not every minute: `celery -A tests.faults.quick_heart`."""

from datetime import timedelta

import django

from aegir_support.celery import app

django.setup()  # Celery does this later, and models cannot be imported before

from aegir_support import jobs  # noqa: E402

__all__ = ["app"]

for entry in app.conf.beat_schedule.values():
    if entry["task"] == jobs.HEARTBEAT:
        entry["schedule"] = timedelta(seconds=1)

jobs._minute = lambda moment: moment.replace(microsecond=0)
