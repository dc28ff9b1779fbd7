"""What Prometheus is told, and that nobody else is."""

import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
import yaml
from django.conf import settings as django_settings
from django.db import OperationalError
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from aegir_support import jobs, metrics
from aegir_support.models import JobRun, Outbox
from tests.tickets.filing import file
from tickets.models import Offer, Ticket

TOKEN = "a-token-for-prometheus-alone"


@pytest.fixture(autouse=True)
def token(settings):
    settings.METRICS_TOKEN = TOKEN


def scrape(client, token=TOKEN, **headers):
    return client.get("/-/metrics", headers={"Authorization": f"Bearer {token}", **headers})


def numbers(client):
    """{name: {labels: value}}, labels as a tuple of their values in the order of their names."""
    found = {}
    for family in text_string_to_metric_families(scrape(client).content.decode()):
        for sample in family.samples:
            labels = tuple(value for _name, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


# Who may read


@pytest.mark.django_db
def test_prometheus_reads_by_whatever_host_name(client):
    response = scrape(client, Host="10.0.0.7:8000")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer é\udcff",
        "Bearer a b",
    ],
)
def test_nobody_else_learns_that_it_is_there(client, sent):
    answer = client.get("/-/metrics", headers={"Authorization": sent})
    assert answer.status_code == 404
    assert answer.content == client.get("/-/nowhere").content
    assert client.post("/-/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 404


@pytest.mark.parametrize("unset", ["", " "])
def test_without_a_token_there_is_no_such_page(client, settings, unset):
    settings.METRICS_TOKEN = unset.strip()
    assert scrape(client, token=unset).status_code == 404


# Requests


def counted(client, name="support_requests_total"):
    return numbers(client).get(name, {})


@pytest.mark.django_db
def test_a_request_is_counted_under_its_route(client):
    before = counted(client)
    client.get("/offers/some-secret-token/")
    client.get("/offers/another-secret-token/")
    grown = {labels: count - before.get(labels, 0) for labels, count in counted(client).items()}
    [key] = [labels for labels in grown if labels[1].startswith("/offers/") and grown[labels]]
    assert key[0] == "GET"
    assert grown[key] == 2
    assert "secret-token" not in scrape(client).content.decode()


@pytest.mark.django_db
def test_made_up_addresses_and_methods_make_no_new_numbers(client):
    client.get("/nowhere/first/")
    client.generic("BREW", "/nowhere/first/")
    client.get("/static/nowhere-1.css")
    many = len(counted(client))
    for number in range(50):
        client.get(f"/nowhere/{number}/")
        client.generic(f"BREW{number}", f"/nowhere/{number}/")
        client.get(f"/static/nowhere-{number}.css")
        client.get("/-/health", headers={"Host": f"host{number}.example"})
    assert len(counted(client)) <= many + 1  # the probe itself
    assert any(labels[0] == "other" for labels in counted(client))


@pytest.mark.django_db
def test_how_long_it_took_is_told_in_steps(client):
    client.get("/pricing/")
    buckets = counted(client, "support_request_seconds_bucket")
    assert buckets["+Inf", "GET", "/pricing/"] == counted(client, "support_request_seconds_count")["GET", "/pricing/"]
    assert len([labels for labels in buckets if labels[1:] == ("GET", "/pricing/")]) == 11


def test_counting_a_request_costs_next_to_nothing():
    started = time.perf_counter()
    for _ in range(2000):
        metrics.count_request(route="/home/", method="GET", status=200, seconds=0.02)
    each = (time.perf_counter() - started) / 2000
    print(f"{each * 1e6:.1f} µs a request")
    assert each < 100e-6


# The state of things


@pytest.mark.django_db
def test_the_outbox_is_told_by_kind(client):
    Outbox.objects.all().delete()
    now = timezone.now()
    Outbox.objects.create(kind="mail", key="1", payload={}, due_at=now - timedelta(seconds=90))
    Outbox.objects.create(kind="mail", key="2", payload={}, due_at=now + timedelta(hours=1))
    Outbox.objects.create(kind="mail", key="3", payload={}, done_at=now)
    Outbox.objects.create(kind="mail", key="4", payload={}, parked_at=now, error="SMTPServerDisconnected")
    found = numbers(client)
    assert found["support_outbox_waiting"]["mail",] == 2
    assert found["support_outbox_parked"]["mail",] == 1
    assert 90 <= found["support_outbox_oldest_seconds"]["mail",] < 100


@pytest.mark.django_db
def test_an_empty_outbox_is_told_too(client):
    Outbox.objects.all().delete()
    found = numbers(client)
    assert found["support_outbox_waiting"]["mail",] == 0
    assert found["support_outbox_oldest_seconds"]["mail",] == 0


@pytest.mark.django_db
def test_the_queue_is_told(client, scene):
    found = numbers(client)
    assert found["support_tickets"]["working",] == 2
    assert found["support_tickets"]["offered",] == 2
    assert found["support_tickets"]["solved",] == 0
    assert found["support_tickets_open_call"][()] == 1
    assert found["support_tickets_late_first_response"][()] == 0
    assert found["support_offers_overdue"][()] == 0


@pytest.mark.django_db
def test_what_is_late_is_told(client, hal):
    hour_ago = timezone.now() - timedelta(hours=1)
    with time_machine.travel(hour_ago):
        ticket = file(hal)
    Ticket.objects.filter(pk=ticket.pk).update(first_response_by=hour_ago)
    Offer.objects.filter(ticket=ticket).update(answer_by=hour_ago + timedelta(minutes=15))
    found = numbers(client)
    assert found["support_offers_overdue"][()] == 1
    assert found["support_tickets_late_first_response"][()] == 1
    assert 3600 <= found["support_tickets_oldest_unassigned_seconds"][()] < 3700


@pytest.mark.django_db
def test_the_jobs_are_told(client):
    jobs.beat()
    with pytest.raises(ZeroDivisionError), jobs.recorded("tickets.tasks.sweep"):
        raise ZeroDivisionError
    with jobs.recorded("aegir_support.tasks.forget_outbox"):
        pass
    found = numbers(client)
    assert 0 <= found["support_heartbeat_age_seconds"][()] < 10
    assert found["support_job_failures"]["tickets.tasks.sweep",] == 1
    assert found["support_job_last_success_timestamp_seconds"]["aegir_support.tasks.forget_outbox",] > 1.7e9
    assert ("tickets.tasks.sweep",) not in found["support_job_last_success_timestamp_seconds"]


@pytest.mark.django_db
def test_before_the_first_heartbeat_there_is_no_age(client):
    JobRun.objects.all().delete()
    assert "support_heartbeat_age_seconds" not in numbers(client)


@pytest.mark.django_db
def test_all_is_read_by_a_few_questions_and_without_writing(client, scene, django_assert_max_num_queries):
    with django_assert_max_num_queries(60):
        assert numbers(client)["support_up"][()] == 1


@pytest.mark.django_db
def test_a_question_that_takes_too_long_is_broken_off(client, monkeypatch):
    def slow():
        with metrics.connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")
        return []

    monkeypatch.setattr(metrics, "_readers", [slow])
    started = time.monotonic()
    assert numbers(client)["support_up"][()] == 0
    assert time.monotonic() - started < 3


@pytest.mark.django_db
def test_a_database_that_is_away_is_a_number_and_no_error(client, monkeypatch):
    def away():
        raise OperationalError("connection refused")

    monkeypatch.setattr(metrics, "_readers", [away])
    client.get("/pricing/")
    found = numbers(client)
    assert found["support_up"][()] == 0
    assert found["support_requests_total"]["GET", "/pricing/", "2xx"] >= 1


# Several processes

COUNT = """
import sys, time
import django
django.setup()
from aegir_support import metrics
from prometheus_client import generate_latest
metrics.share_between_processes()
for _ in range(int(sys.argv[1])):
    metrics.count_request(route="/home/", method="GET", status=200, seconds=0.02)
print(next(line for line in generate_latest(metrics._counts()).decode().splitlines()
           if line.startswith("support_requests_total{")), flush=True)
if sys.argv[2] == "stay":
    time.sleep(60)
"""


@pytest.fixture
def processes(tmp_path):
    started = []

    def start(times, then="stay"):
        env = os.environ | {
            "METRICS_DIR": str(tmp_path / "metrics"),
            "DJANGO_SETTINGS_MODULE": "aegir_support.settings",
        }
        words = [sys.executable, "-c", COUNT, str(times), then]
        process = subprocess.Popen(words, env=env, cwd=django_settings.BASE_DIR, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, float(process.stdout.readline().split()[-1])

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.processes
def test_whichever_process_is_asked_tells_the_sum_of_all(processes, tmp_path):
    first, sum_of_one = processes(3)
    second, sum_of_two = processes(4)
    assert (sum_of_one, sum_of_two) == (3, 7)
    second.send_signal(signal.SIGKILL)
    second.wait()
    _third, sum_of_three = processes(5)
    assert sum_of_three == 12, "what a killed process has counted stays counted"
    [folder] = [path for path in (tmp_path / "metrics").iterdir() if path.is_dir()]
    assert folder.name == str(os.getpid())
    assert {path.name for path in folder.glob("counter_*")} == {"counter_0.db", "counter_1.db"}
    assert first.poll() is None


@pytest.mark.processes
def test_what_a_web_server_left_behind_is_removed(processes, tmp_path):
    left = tmp_path / "metrics" / "999999999"
    left.mkdir(parents=True)
    (left / "0.lock").touch()
    (left / "counter_0.db").write_bytes(b"x" * 100)
    processes(1, "go")
    assert not left.exists()


def test_a_folder_of_somebody_else_is_not_used(tmp_path, settings, monkeypatch):
    mine = tmp_path / "elsewhere"
    mine.mkdir()
    (tmp_path / "link").symlink_to(mine)
    settings.METRICS_DIR = str(tmp_path / "link")
    metrics.share_between_processes()
    assert metrics._Share.folder is None
    assert list(mine.iterdir()) == []


# The alerts that are delivered with it


def test_the_example_alerts_name_only_numbers_that_exist(client, scene):
    path = Path(django_settings.BASE_DIR) / "docs" / "alerts.yml"
    groups = yaml.safe_load(path.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    jobs.beat()
    with jobs.recorded("aegir_support.tasks.check_invariants"):
        pass
    there = set(numbers(client))
    assert len(rules) >= 8
    for rule in rules:
        assert {"alert", "expr", "for", "labels", "annotations"} == set(rule), rule
        assert rule["annotations"]["summary"]
        named = set(re.findall(r"\bsupport_\w+", rule["expr"]))
        assert named
        assert named <= there, rule["alert"]
