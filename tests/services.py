"""A pytest plugin: PostgreSQL and Valkey for one run of the tests, in a folder of their own.

Each run has its own folder, so two at once in one checkout do not meet, and what a killed run left is removed by the
next. DATABASE_URL and REDIS_URL, where set, name other servers to use.
"""

import fcntl
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from aegir_support import embedded

RUNS = Path(__file__).resolve().parent.parent / ".local" / "test"
# A power cut costs a test run nothing but the run.
FASTER = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"]
IS_XDIST_WORKER = "PYTEST_XDIST_WORKER" in os.environ

# Set before anything reads the settings; the workers of xdist inherit it.
os.environ["DEPLOYMENT"] = "test"
if not IS_XDIST_WORKER:
    os.environ["LOCAL_DIR"] = str(RUNS / str(os.getpid()))


class Services:
    """The servers of this run; held by the process that starts the workers, or the only one."""

    def __init__(self, local_dir: Path) -> None:
        self.local_dir = local_dir
        self.running = ExitStack()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            return
        RUNS.mkdir(parents=True, exist_ok=True)
        with (RUNS / "lock").open("w") as one_at_a_time:
            fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
            _remove_what_killed_runs_left()
            self.local_dir.mkdir()
            lock = self.running.enter_context((self.local_dir / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        self.running.callback(shutil.rmtree, self.local_dir, ignore_errors=True)
        if "DATABASE_URL" not in os.environ:
            self.running.enter_context(embedded.Postgres(self.local_dir, settings=FASTER))
        if "REDIS_URL" not in os.environ:
            self.running.enter_context(embedded.Valkey(self.local_dir))

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self) -> None:
        self.running.close()


def pytest_configure(config: pytest.Config) -> None:
    if not IS_XDIST_WORKER:
        config.pluginmanager.register(Services(Path(os.environ["LOCAL_DIR"])))


def _remove_what_killed_runs_left() -> None:
    for run in RUNS.iterdir():
        try:
            with (run / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(run, ignore_errors=True)
        except OSError:  # no run, or one that goes on, or somebody else's
            continue
