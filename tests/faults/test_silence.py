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
def watched(tmp_path, broker, sink):
    started = []

    def start(**facts):
        facts = {
            "WATCHDOG_SECONDS": "1",
            "ALARM_EMAIL": "ops@aegir.example",
            "METRICS_DIR": str(tmp_path / "m"),
            **facts,
        }
        programs = Programs(tmp_path, broker, sink, **facts)
        started.append(programs)
        return programs

    yield start
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


def told(sink):
    return [message["Subject"].partition(": ")[2] for message in sink.taken if message["To"] == "ops@aegir.example"]


SILENT, BACK = "jobs are silent", "jobs run again, the heartbeat is back"


def test_silence_is_told_once_and_its_end_once(watched, sink):
    programs = watched()
    programs.worker("tests.faults.quick_heart")
    beat = programs.beat("tests.faults.quick_heart")
    assert wait_for(fresh, seconds=60)
    two_web_processes(programs)
    time.sleep(4)
    assert told(sink) == []

    beat.kill()
    killed = time.monotonic()
    assert wait_for(lambda: told(sink), seconds=40)
    print(f"told {time.monotonic() - killed:.1f} s after the kill, with a clock of nine")
    time.sleep(4)
    assert told(sink) == [SILENT]
    assert (programs.folder / "web.log").read_text().count("alarm=jobs_silent") == 1

    programs.beat("tests.faults.quick_heart")
    assert wait_for(lambda: len(told(sink)) > 1, seconds=40)
    time.sleep(4)
    assert told(sink) == [SILENT, BACK]
    assert JobRun.objects.of(jobs.HEARTBEAT).filter(runs__gt=1).count() == 0
    assert Alarm.objects.filter(told_at=None).count() == 0


def test_without_the_guard_both_processes_tell(watched, sink):
    programs = watched(UNGUARDED="yes")
    programs.worker("tests.faults.quick_heart")
    beat = programs.beat("tests.faults.quick_heart")
    assert wait_for(fresh, seconds=60)
    two_web_processes(programs)
    beat.kill()
    assert wait_for(lambda: len(told(sink)) > 1, seconds=40)
    assert told(sink)[:2] == [SILENT, SILENT]
