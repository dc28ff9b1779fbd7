"""When the jobs fall silent somebody is told, once, and once more when they are back (G8).

Two web processes, worker, beat, PostgreSQL, Valkey and a mail server, all real; the clock is nine seconds instead of
three minutes.
"""

import socket
import time

import pytest
from django.utils import timezone

from aegir_support import jobs
from aegir_support.models import Alarm, JobRun
from tests.faults.programs import Programs, answers, children_of, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def start(tmp_path, broker, sink):
    """`start(to)` are programs whose watchdog mails this address."""
    started = []

    def programs_for(address, **facts):
        folder = tmp_path / address
        watched = {"WATCHDOG_SECONDS": "1", "ALARM_EMAIL": address, "METRICS_DIR": str(folder / "metrics")}
        started.append(Programs(folder, broker, sink, **watched, **facts))
        return started[-1]

    yield programs_for
    for programs in started:
        programs.stop()


def two_web_processes(programs):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serving = ["--host", "127.0.0.1", "--port", str(port), "--workers", "2", "--blocking-threads", "2"]
    web = programs._start(
        "web", ["granian", "--interface", "wsgi", "tests.faults.impatient:application", "--no-ws", *serving]
    )
    web.wait_until(lambda: answers(port), within=60)
    assert len(children_of(web)) >= 2
    return web


def fresh():
    last = jobs.last_heartbeat()
    return last is not None and (timezone.now() - last).total_seconds() < 3


OPS, CONTROL = "ops@aegir.example", "control@aegir.example"
SILENT, BACK = "jobs are silent", "jobs run again, the heartbeat is back"
TWO_LOOKS = 3  # seconds, with some to spare


def test_silence_is_told_once_and_its_end_once(start, sink):
    """The control is a second web server, beside the first, both processes of which look before they tell."""

    def told(to):
        return [message["Subject"].partition(": ")[2] for message in sink.taken if message["To"] == to]

    programs = start(OPS)
    programs.worker("tests.faults.quick_heart")
    beat = programs.beat("tests.faults.quick_heart")
    assert wait_for(fresh, seconds=60)
    web = two_web_processes(programs)
    two_web_processes(start(CONTROL, UNGUARDED="yes"))
    time.sleep(TWO_LOOKS)
    assert sink.taken == []

    beat.kill()
    killed = time.monotonic()
    assert wait_for(lambda: told(OPS), seconds=40)
    print(f"told {time.monotonic() - killed:.1f} s after the kill, with a clock of nine")
    assert wait_for(lambda: told(CONTROL) == [SILENT, SILENT], seconds=20), "the control"
    time.sleep(TWO_LOOKS)
    assert told(OPS) == [SILENT]
    assert web.log.read_text().count("alarm=jobs_silent") == 1

    programs.beat("tests.faults.quick_heart")
    assert wait_for(lambda: BACK in told(OPS), seconds=40)
    time.sleep(TWO_LOOKS)
    assert told(OPS) == [SILENT, BACK]
    assert JobRun.objects.of(jobs.HEARTBEAT).filter(runs__gt=1).count() == 0
    assert Alarm.objects.filter(told_at=None).count() == 0
