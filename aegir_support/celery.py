"""The job queue. A job carries the id of the request that sent it, and logs the way pages do."""

import os
from typing import Any

from celery import Celery, Task
from celery.app.amqp import AMQP
from celery.app.log import Logging
from celery.beat import Scheduler
from celery.schedules import schedule
from kombu import Connection
from structlog.contextvars import bound_contextvars

from . import deeds, logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aegir_support.settings")


class RequestTask(Task):  # type: ignore[type-arg]  # generic in the stubs only
    """A job that remembers on whose behalf it was sent, so that its log lines can be found from the page's."""

    abstract = True
    Request = "aegir_support.worker:HeardRequest"

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # type: ignore[override]
        headers = {"request_id": logs.request_id(), **(options.pop("headers", None) or {})}
        return super().apply_async(args, kwargs, headers=headers, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with bound_contextvars(request_id=self.request.get("request_id") or self.request.id or "", task=self.name):
            from . import jobs  # noqa: PLC0415 - models can be imported only once Django is set up

            with deeds.by(None, what=self.name), jobs.recorded(self.name):
                return super().__call__(*args, **kwargs)


class Logs(Logging):
    """Leave logging as settings.py has set it up: Celery would add handlers and formats of its own."""

    def setup_logging_subsystem(self, *args: Any, **kwargs: Any) -> bool:
        return True


class SteadyConnection(Connection):
    """Look every two seconds for a broker that is away: kombu would wait longer each time, up to half a minute."""

    def _ensure_connection(self, *args: Any, **options: Any) -> Any:
        patience = {"interval_start": 2, "interval_step": 0, "interval_max": 2}
        return super()._ensure_connection(*args, **patience | options)


class SteadyAMQP(AMQP):
    Connection = SteadyConnection


class PromptScheduler(Scheduler):
    """A beat that begins with every job that recurs, so that one that dies again and again does not starve any.

    It keeps its times in memory: every job finds its work in rows, so a restart has nothing to catch up with, and beat
    needs no folder to write to.
    """

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            if isinstance(entry.schedule, schedule):
                entry.last_run_at -= entry.schedule.run_every  # type: ignore[attr-defined]  # not in the stubs


app = Celery("aegir_support", task_cls=RequestTask, log=Logs, amqp=SteadyAMQP)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def impatient_broker() -> Connection:
    """A connection for a page that sends a job: a broker that is away or hangs costs it about a second, not minutes."""
    patience = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    timeouts = {"socket_connect_timeout": 0.4, "socket_timeout": 0.4}
    return app.connection_for_write(transport_options=app.conf.broker_transport_options | patience | timeouts)
