"""While PostgreSQL is away the numbers say so, the watchdog notes it once, and both find it again by themselves.

PostgreSQL, the web server and its watchdog are real; the watchdog looks each second.
"""

import http.client
import subprocess
import time

import pytest
from django.db import connection
from prometheus_client.parser import text_string_to_metric_families

from aegir_support import pgtools
from tests.faults.programs import Programs, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

TOKEN = "a-token-for-prometheus-alone"


@pytest.fixture
def like_ours(postgres):
    """The tables of the test's database, empty, on a PostgreSQL that may be stopped."""
    server = connection.pg_version // 10000
    dump = [pgtools.tool("pg_dump", server), "--schema-only", f"--dbname={pgtools.conninfo()}"]
    words = subprocess.run([*dump, "--format=custom", "--no-owner"], capture_output=True, check=True).stdout
    load = [pgtools.tool("pg_restore", server), "--no-owner", f"--dbname={postgres.url}"]
    subprocess.run(load, input=words, capture_output=True, check=True)
    return postgres


class Watched:
    def __init__(self, programs):
        self.web = programs.web()

    def says(self, words):
        return self.web.log.read_text().count(words)

    def numbers(self):
        """{name and labels: value} of a scrape, and how many seconds it took."""
        asking = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=20)
        started = time.monotonic()
        try:
            asking.request("GET", "/-/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
            answer = asking.getresponse()
            assert answer.status == 200
            families = text_string_to_metric_families(answer.read().decode())
        finally:
            asking.close()
        found = {sample.name: sample.value for family in families for sample in family.samples}
        return found, time.monotonic() - started


@pytest.fixture
def watched(tmp_path, broker, sink, like_ours):
    facts = {"DATABASE_URL": like_ours.url, "METRICS_TOKEN": TOKEN, "METRICS_DIR": str(tmp_path / "metrics")}
    programs = Programs(tmp_path / "programs", broker, sink, WATCHDOG_SECONDS="1", **facts)
    yield Watched(programs)
    programs.stop()


def test_a_database_that_is_away_is_told_and_found_again(watched, like_ours):
    before, _seconds = watched.numbers()
    assert before["support_up"] == 1
    assert "support_outbox_waiting" in before

    like_ours.stop()
    away, seconds = watched.numbers()
    print(f"a scrape without the database took {seconds:.1f} s")
    assert away["support_up"] == 0
    assert away["support_requests_total"] >= 1, "the web server itself is well"
    assert "support_outbox_waiting" not in away
    assert seconds < 8, "Prometheus gives up after ten"
    assert wait_for(lambda: watched.says("watchdog cannot reach the database"), seconds=10)
    assert not wait_for(lambda: watched.says("watchdog cannot reach the database") > 1, seconds=7), "once"
    assert not watched.says("reaches the database again")

    like_ours.start()
    assert wait_for(lambda: watched.says("watchdog reaches the database again"), seconds=20)
    assert wait_for(lambda: watched.numbers()[0]["support_up"] == 1, seconds=10)
