"""The broker only hurries work along: emptied, killed, frozen or away, it costs time and nothing else (G5)."""

import time

import pytest
import redis
from django.db.models import Sum

from aegir_support import outbox
from aegir_support.models import JobRun
from billing.models import Grant
from tests.faults import naive
from tests.faults.day import Chaos, Day, arrived, nothing_is_lost_or_doubled, repeated, settled, written
from tests.faults.programs import CONCURRENCY, wait_for
from tests.tickets.filing import file

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.processes,
    pytest.mark.usefixtures("without_nudges"),
]


@pytest.mark.parametrize(("put", "arrives"), [(outbox.put, True), (naive.put, False)], ids=["outbox", "naive"])
def test_an_emptied_broker_costs_nothing_but_the_time_to_the_next_beat(
    hal, programs, broker, sink, monkeypatch, put, arrives
):
    """Where the message was the only memory of what to do, as in `naive`, nobody remembers it."""
    monkeypatch.setattr(outbox, "put", put)
    file(hal)
    with redis.Redis.from_url(broker.url) as valkey:
        assert valkey.llen("celery") >= 1
        valkey.flushall()
    programs.worker("aegir_support" if arrives else "tests.faults.naive")
    time.sleep(3)
    assert sink.taken == [], "nobody remembers the nudge"
    programs.beat("tests.faults.hurried")
    came = wait_for(lambda: settled() and set(arrived(sink)) == written(), seconds=30 if arrives else 4)
    assert came is arrives


@pytest.mark.parametrize(("jobs", "goes_on"), [("aegir_support", True), ("tests.faults.unheard", False)])
def test_a_worker_that_was_not_heard_goes_on(hal, programs, broker, sink, jobs, goes_on):
    """As many jobs as it fetches end while the broker hangs: with Celery's own way it looks alive, and is not."""
    chaos = Chaos(programs, broker, sink, seed=0, jobs=jobs, clock=None)
    sink.greets.clear()
    for _ in range(CONCURRENCY):
        file(hal)
    assert wait_for(lambda: sink.visitors >= CONCURRENCY, seconds=40)
    worker = chaos.worker.pid
    with chaos.frozen_broker():
        sink.greets.set()
        unheard = ["Connection to broker lost"] if goes_on else ["Couldn't ack"] * CONCURRENCY
        assert wait_for(lambda: _says(chaos.worker, unheard), seconds=30)
    programs.beat("tests.faults.hurried")
    file(hal)
    assert wait_for(settled, seconds=30 if goes_on else 8) is goes_on
    assert chaos.worker.pid == worker


def _says(program, words):
    return program.log.read_text().count(words[0]) >= len(words)


FEW = [("flush", 0), ("freeze", 5), ("kill", 8)]
MANY = [
    ("kill", 0.2), ("flush", 0), ("stop", 60), ("kill", 0), ("freeze", 60), ("flush", 0), ("kill", 3), ("stop", 0.5),
    ("freeze", 2), ("kill", 10), ("stop", 25), ("freeze", 20), ("kill", 0.2), ("kill", 0.2),
]  # fmt: skip


@pytest.mark.parametrize(
    ("troubles", "pause"), [(FEW, 0.3), pytest.param(MANY, 1, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_without_the_broker_people_work_on_and_workers_find_it_again(
    cast, programs, broker, sink, dice_seed, troubles, pause
):
    """Workers that look alive and take nothing after a restart are known of Celery (8030, 8091, 9054, 10205)."""
    Grant.objects.update(tickets=None)
    chaos = Chaos(programs, broker, sink, seed=dice_seed)
    day = Day(cast, programs.web().port, filings=30, pause=pause)
    worker, beat = chaos.worker.pid, chaos.beat.pid
    found_again = []
    with day:
        assert wait_for(lambda: sink.taken, seconds=30)
        for trouble, seconds in troubles:
            time.sleep(chaos.dice.uniform(0, 1))
            with day.while_(f"broker {trouble}"):
                getattr(chaos, f"{trouble}_the_broker")(*[seconds] * (trouble != "flush"))
            found_again.append((trouble, seconds, _until_jobs_end(60)))
        day.end()
        last = time.monotonic()
        in_time = wait_for(settled, seconds=60)
    print(f"\nCHAOS_SEED={dice_seed}: {len(day.keys)} tickets, {len(arrived(sink))} mails, {repeated(sink)} repeated")
    for trouble, seconds, waited in found_again:
        print(f"{trouble} for {seconds} s: jobs are fetched {waited:.1f} s after its return")
    print(f"settled {time.monotonic() - last:.1f} s after the last ticket; {dict(day.statuses)}")
    day.show()
    assert (worker, beat) == (chaos.worker.pid, chaos.beat.pid), "nobody started them again"
    assert max(waited for _trouble, _seconds, waited in found_again) <= 30
    assert in_time
    assert max(max(seconds) for seconds in day.times.values()) < 15, "nobody waits for the broker"
    nothing_is_lost_or_doubled(day, sink, breaks=len(troubles))


def _until_jobs_end(seconds):
    """Seconds until more jobs have ended than could be under way, so that one has been fetched since."""
    started = time.monotonic()
    enough = _ended() + CONCURRENCY + 1
    wait_for(lambda: _ended() >= enough, seconds=seconds)
    return time.monotonic() - started


def _ended():
    return JobRun.objects.aggregate(runs=Sum("runs"))["runs"] or 0
