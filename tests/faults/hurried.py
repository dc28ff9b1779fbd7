"""The project's jobs with a clock that strikes every second: `celery -A tests.faults.hurried beat`."""

from datetime import timedelta

from aegir_support.celery import app

for entry in app.conf.beat_schedule.values():
    entry["schedule"] = timedelta(seconds=1)
