"""The website, with a watchdog that gives a heartbeat nine seconds instead of three minutes.

`granian tests.faults.impatient:application`. With UNGUARDED in the environment each web process looks before it changes
the row of an alarm, one of its own, instead of letting one UPDATE decide: it is what the watchdog is guarded against.
"""

import os
import time
from dataclasses import replace

from aegir_support.wsgi import application

from django.conf import settings  # isort: skip
from aegir_support import watchdog  # isort: skip
from aegir_support.models import Alarm  # isort: skip

__all__ = ["application"]

settings.HEARTBEAT_ALARM_MINUTES = 0.15


def _look_then_tell(watch, wrong):
    alarm, _ = Alarm.objects.get_or_create(name=watch.name)
    if alarm.is_raised == bool(wrong):
        return False
    time.sleep(1.5)  # somebody else looks meanwhile
    alarm.is_raised = bool(wrong)
    alarm.save()
    return True


if os.environ.get("UNGUARDED"):
    watchdog.SILENCE = replace(watchdog.SILENCE, name="jobs_silent_unguarded")
    watchdog.WATCHES = (watchdog.SILENCE,)
    watchdog._is_mine_to_tell = _look_then_tell
