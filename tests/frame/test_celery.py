import logging
import os
import subprocess
import sys
from datetime import timedelta

import pytest
import structlog
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from structlog.contextvars import bound_contextvars

from aegir_support import celery_app, logs
from aegir_support.addresses import broker_url
from aegir_support.embedded import Valkey


@pytest.fixture
def broker(tmp_path, monkeypatch):
    with Valkey(tmp_path) as valkey:
        for name in ("CELERY_BROKER_WRITE_URL", "CELERY_BROKER_READ_URL"):
            monkeypatch.setenv(name, broker_url(valkey.url))
        yield
    celery_app.pool.force_close_all()


@pytest.fixture
def listen():
    """A job that writes down the request it worked for."""
    heard = []

    @celery_app.task(name="tests.listen")
    def listen():
        structlog.get_logger("tests").warning("heard")
        heard.append(logs.request_id())

    listen.heard = heard
    yield listen
    del celery_app.tasks["tests.listen"]


@pytest.mark.processes
def test_a_job_works_in_the_name_of_the_request_that_sent_it(broker, listen, caplog):
    with bound_contextvars(request_id="edge-12345"):
        listen.delay()
    sent_by_nobody = listen.delay()
    with start_worker(celery_app, pool="solo", perform_ping_check=False, without_heartbeat=True):
        while len(listen.heard) < 2:
            pass
    assert listen.heard == ["edge-12345", sent_by_nobody.id]
    assert logs.request_id() == ""


def test_celery_leaves_the_log_as_settings_made_it():
    before = list(logging.getLogger().handlers)
    celery_app.log.setup(loglevel="DEBUG")
    assert logging.getLogger().handlers == before
    assert logging.getLogger().level == logging.WARNING
    assert {type(handler) for handler in logging.getLogger("celery.task").handlers} <= {logging.NullHandler}


def test_jobs_are_kept_until_they_are_done():
    conf = celery_app.conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_time_limit < conf.broker_transport_options["visibility_timeout"]


def test_jobs_do_not_pile_up_while_no_worker_takes_them():
    for entry in celery_app.conf.beat_schedule.values():
        every = entry["schedule"] if isinstance(entry["schedule"], timedelta) else timedelta(days=1)
        assert timedelta(seconds=entry["options"]["expires"]) < every


@pytest.mark.processes
def test_beat_begins_with_all_that_recurs_and_where_it_may_write_nothing(broker, tmp_path):
    empty = tmp_path / "nothing here"
    empty.mkdir(mode=0o500)
    with (tmp_path / "log").open("wb") as log:
        words = ["celery", "-A", "aegir_support", "--workdir", str(settings.BASE_DIR), "beat", "--loglevel", "DEBUG"]
        env = os.environ | {
            "LOCAL_DIR": str(empty / "missing"),
            "LOG_LEVEL": "DEBUG",
            "PYTHONPATH": str(settings.BASE_DIR),
        }
        beat = subprocess.Popen([sys.executable, "-m", *words], env=env, cwd=empty, stdout=log, stderr=log)
    try:
        with celery_app.connection_for_read() as connection:
            queue = connection.SimpleQueue("celery")
            recurring = _recurring()
            messages = [queue.get(timeout=25) for _ in recurring]
            assert {message.headers["task"] for message in messages} == recurring
            assert all(message.headers["expires"] for message in messages)
    finally:
        beat.kill()
        beat.wait()
    assert list(empty.iterdir()) == []


def _recurring():
    entries = celery_app.conf.beat_schedule.values()
    return {entry["task"] for entry in entries if isinstance(entry["schedule"], timedelta)}


def test_every_scheduled_job_exists():
    celery_app.loader.import_default_modules()
    for entry in celery_app.conf.beat_schedule.values():
        assert entry["task"] in celery_app.tasks
