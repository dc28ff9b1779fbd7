import shutil
from contextlib import contextmanager

import pytest

from aegir_support.embedded import Postgres, Valkey, socket_dir
from tests.faults.mail_sink import mail_sink
from tests.faults.programs import Programs, seed


@contextmanager
def running(server, folder):
    try:
        with server:
            yield server
    finally:
        shutil.rmtree(socket_dir(folder), ignore_errors=True)  # it may lie outside of the test's own folder


@pytest.fixture
def broker(tmp_path):
    folder = tmp_path / "broker"
    with running(Valkey(folder), folder) as valkey:
        yield valkey


@pytest.fixture
def postgres(tmp_path):
    """A PostgreSQL of our own to kill, which writes to the disk what it says it has written."""
    folder = tmp_path / "cluster"
    with running(Postgres(folder), folder) as postgres:
        yield postgres


@pytest.fixture
def sink():
    with mail_sink() as sink:
        yield sink


@pytest.fixture
def programs(tmp_path, broker, sink):
    programs = Programs(tmp_path, broker, sink)
    yield programs
    programs.stop()


@pytest.fixture
def dice_seed():
    return seed()


@pytest.fixture
def without_nudges(monkeypatch, broker):
    """What the test itself writes is hurried along by the broker of the test, or by nobody."""
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis+socket://{broker.url.removeprefix('unix://').split('?')[0]}")
