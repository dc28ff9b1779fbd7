"""The job queue. A job carries the id of the request that sent it, and logs the way pages do."""

import os
from typing import Any

from celery import Celery, Task
from celery.app.log import Logging
from kombu import Connection
from structlog.contextvars import bound_contextvars

from . import logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aegir_support.settings")


class RequestTask(Task):  # type: ignore[type-arg]  # generic in the stubs only
    """A job that remembers on whose behalf it was sent, so that its log lines can be found from the page's."""

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # type: ignore[override]
        headers = {"request_id": logs.request_id(), **(options.pop("headers", None) or {})}
        return super().apply_async(args, kwargs, headers=headers, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with bound_contextvars(request_id=self.request.get("request_id") or self.request.id or "", task=self.name):
            return super().__call__(*args, **kwargs)


class Logs(Logging):
    """Leave logging as settings.py has set it up: Celery would add handlers and formats of its own."""

    def setup_logging_subsystem(self, *args: Any, **kwargs: Any) -> bool:
        return True


app = Celery("aegir_support", task_cls=RequestTask, log=Logs)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def impatient_broker() -> Connection:
    """A connection for a page that sends a job: a broker that is away or hangs costs it about a second, not minutes."""
    patience = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    timeouts = {"socket_connect_timeout": 0.4, "socket_timeout": 0.4}
    return app.connection_for_write(transport_options=app.conf.broker_transport_options | patience | timeouts)
