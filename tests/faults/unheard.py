"""The project's jobs with Celery's own way when the broker does not hear that one is over, for a control."""

from aegir_support.celery import RequestTask, app

__all__ = ["app"]

RequestTask.Request = "celery.worker.request:Request"
