import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings as django_settings
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from aegir_support import views
from aegir_support.addresses import broker_url


@pytest.fixture(autouse=True)
def unchecked(monkeypatch):
    monkeypatch.setattr(views._Migrations, "applied", False)
    monkeypatch.setattr(views._Readiness, "good_until", 0.0)


def test_a_living_process_says_ok_and_asks_nobody(client):
    response = client.get("/-/health")
    assert (response.status_code, response.content) == (200, b"ok")
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("address", ["/-/health", "/-/ready"])
def test_a_probe_may_use_any_host_name(client, address):
    response = client.get(address, headers={"Host": "10.0.0.7:8000"})
    assert response.status_code == 200
    assert response["Content-Security-Policy"]
    assert response["X-Request-ID"]
    assert client.post(address, headers={"Host": "10.0.0.7:8000"}).status_code == 405
    assert client.get("/", headers={"Host": "10.0.0.7:8000"}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_many_who_ask_at_once_cost_one_look(client, monkeypatch):
    looks = []
    look = views._look
    monkeypatch.setattr(views, "_look", lambda: looks.append(1) or look())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: Client().get("/-/ready").status_code, range(24)))
    assert answers == 24 * [200]
    assert len(looks) == 1
    time.sleep(1)
    client.get("/-/ready")
    assert len(looks) == 2


@pytest.mark.django_db(transaction=True)
def test_it_is_ready_when_all_is_there(client):
    for _ in range(2):
        response = client.get("/-/ready")
        assert response.json() == {"database": "ok", "broker": "ok", "migrations": "ok"}
        assert response.status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_is_named(client, monkeypatch, tmp_path):
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", broker_url(f"unix://{tmp_path}/nobody.sock?db=0"))
    response = client.get("/-/ready")
    assert response.json() == {"database": "ok", "broker": "missing", "migrations": "ok"}
    assert response.status_code == 503


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_is_missing_is_named(client):
    recorder = MigrationRecorder(views.connection)
    [last] = MigrationLoader(views.connection).graph.leaf_nodes("aegir_support")
    recorder.record_unapplied(*last)
    try:
        response = client.get("/-/ready")
    finally:
        recorder.record_applied(*last)
    assert response.json() == {"database": "ok", "broker": "ok", "migrations": "missing"}
    assert response.status_code == 503


ASK = """
import json, os, sys, time
import django
django.setup()
from django.test import Client
browser = Client(raise_request_exception=False)
for address in sys.argv[1:]:
    if not address.startswith("/-/"):
        browser.cookies["sessionid"] = "x" * 32
    started = time.monotonic()
    response = browser.get(address)
    took = time.monotonic() - started
    answer = [response.status_code, response.headers.get("Retry-After"), response.content.decode(), took]
    print(json.dumps(answer), flush=True)
os._exit(0)  # not waiting for the threads that still wait for the database
"""


def ask_without_database(folder, *addresses):
    env = os.environ | {
        "DATABASE_URL": f"postgresql://aegir@/aegir?host={folder}",
        "DJANGO_SETTINGS_MODULE": "aegir_support.settings",
        "LOG_LEVEL": "CRITICAL",
    }
    words = [sys.executable, "-c", ASK, *addresses]
    done = subprocess.run(words, env=env, cwd=django_settings.BASE_DIR, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.processes
def test_a_database_that_hangs_is_named_and_not_waited_for(tmp_path):
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / ".s.PGSQL.5432"))
        mute.listen(50)
        health, ready = ask_without_database(tmp_path, "/-/health", "/-/ready")
    assert health[0] == 200
    assert ready[0] == 503
    assert json.loads(ready[2])["database"] == "missing"
    assert ready[3] < 10  # it gives up after two; a busy machine adds to that, a hang would last for ever


@pytest.mark.processes
def test_pages_without_a_database_ask_to_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_POOL_SIZE", "0")
    ready, page, login = ask_without_database(tmp_path, "/-/ready", "/", "/accounts/email/")
    for status, retry_after, words, took in (page, login):
        assert (status, retry_after) == (503, "5")
        assert "away for a moment" in words
        assert took < 10
    assert json.loads(ready[2])["database"] == "missing"
