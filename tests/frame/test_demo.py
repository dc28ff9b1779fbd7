"""`make demo`: one process that starts everything, heals it, and leaves nothing behind."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError

from aegir_support import embedded
from aegir_support.management.commands import demo

ROOT = Path(__file__).resolve().parents[2]
RUNNING = "Ctrl-C stops everything"
pytestmark = pytest.mark.processes


def processes():
    """Number to parent of every living process."""
    living = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            living[int(stat.parent.name)] = int(parent)
    return living


def family(pid):
    """The process and everything it has started, directly or not."""
    living = processes()
    found = {pid}
    while more := {child for child, parent in living.items() if parent in found} - found:
        found |= more
    return found


def named(pids, word):
    return [pid for pid in pids if word in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")]


def status(port, path):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as asking:
        try:
            asking.request("GET", path)
            return asking.getresponse().status
        except OSError:
            return None


def eventually(holds, within):
    deadline = time.monotonic() + within
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return held


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def screen(tmp_path):
    return tmp_path / "screen"


def environment(local_dir, port):
    own = {"DATABASE_URL", "REDIS_URL", "SITE_URL", "LOG_LEVEL"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return kept | {"DEPLOYMENT": "demo", "LOCAL_DIR": str(local_dir), "PORT": str(port), "NO_COLOR": "1"}


@contextmanager
def running_demo(local_dir, port, screen):
    with screen.open("w") as output:
        started = subprocess.Popen(
            [sys.executable, "manage.py", "demo"],
            cwd=ROOT,
            env=environment(local_dir, port),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        assert eventually(lambda: RUNNING in screen.read_text() or started.poll() is not None, within=60)
        assert started.poll() is None, screen.read_text()
        yield started
    finally:
        started.kill()  # whatever a failed test left ends with it
        started.wait()


def run_demo(local_dir, port):
    """A demo that should not start; what it says."""
    tried = subprocess.run(
        [sys.executable, "manage.py", "demo"],
        cwd=ROOT,
        env=environment(local_dir, port),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert tried.returncode == 1
    return tried.stderr


def test_the_demo_starts_heals_stops_and_goes_on_with_its_data(tmp_path, port, screen):
    local_dir = tmp_path / "demo"
    with running_demo(local_dir, port, screen) as running:
        assert f"http://localhost:{port}" in screen.read_text()
        assert status(port, "/-/health") == 200

        with closing(psycopg.connect(embedded.database_url(local_dir), autocommit=True)) as connection:
            connection.execute("CREATE TABLE kept ()")
        assert "is running already" in run_demo(local_dir, port + 1)

        [postgres] = named(family(running.pid), "bin/postgres\0")
        os.kill(postgres, signal.SIGKILL)
        assert eventually(lambda: "PostgreSQL has ended unexpectedly" in screen.read_text(), within=10)
        assert eventually(lambda: status(port, "/-/ready") == 200, within=20)

        everything = family(running.pid)
        assert len(everything) > 8
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(30) == 0
        assert not everything & processes().keys()
        assert "Stopped." in screen.read_text()

    with running_demo(local_dir, port, screen) as running:
        with closing(psycopg.connect(embedded.database_url(local_dir))) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        everything = family(running.pid)
        os.kill(running.pid, signal.SIGKILL)
        assert eventually(lambda: not everything & processes().keys(), within=20)


def test_a_port_in_use_is_named_with_another_one_to_try(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"Port {port} is in use; try: make demo PORT=" in run_demo(tmp_path / "demo", port)


def test_a_disk_too_full_to_start_is_said(tmp_path, monkeypatch, settings):
    monkeypatch.setattr(demo, "DISK_NEEDED", 10**18)
    command = demo.Command()
    command.local_dir = tmp_path
    with pytest.raises(CommandError, match=r"MB left, and the demo needs"):
        command.check_disk()
