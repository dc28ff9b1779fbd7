"""The project's jobs with a clock that strikes every second: `celery -A tests.faults.hurried beat`.

What is done once a day or an hour keeps its time.
"""

from datetime import timedelta

from aegir_support.celery import app

for entry in app.conf.beat_schedule.values():
    if isinstance(entry["schedule"], timedelta):
        entry["schedule"] = timedelta(seconds=1)
