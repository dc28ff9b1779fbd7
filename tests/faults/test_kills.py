"""Killed workers and an emptied broker lose nothing and double nothing; pages go on meanwhile.

Everything is real: PostgreSQL, Valkey, Celery's worker and beat, a web server, a mail server. SIGKILL leaves nobody
time to tidy up.
"""

import os
import random
import threading
import time
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.db import connection
from django.utils import timezone

from aegir_support import mail
from aegir_support.models import Outbox
from billing.models import Grant
from tests.faults.programs import CONCURRENCY, Person, kill_pool, wait_for
from tests.races.acting import ends_in
from tests.races.judge import broken
from tests.tickets.filing import file
from tickets.models import Offer, Ticket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture(autouse=True)
def without_nudges(monkeypatch, broker):
    """What the test itself writes is hurried along by the broker of the test, or by nobody."""
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis+socket://{broker.url.removeprefix('unix://').split('?')[0]}")


def all_sent():
    return not Outbox.objects.waiting().exists()


# One kill at a time


@pytest.mark.parametrize(("jobs", "arrives"), [("aegir_support", True), ("tests.faults.careless", False)])
def test_a_mail_is_not_lost_with_its_sender(hal, programs, sink, jobs, arrives):
    """Marked before it is sent, as in `careless`, it would be."""
    file(hal)
    sink.greets.clear()
    worker = programs.worker(jobs)
    beat = programs.beat("tests.faults.hurried")
    assert wait_for(lambda: sink.visitors >= 1, seconds=30)
    worker.kill()
    sink.greets.set()
    sink.taken.clear()
    programs.worker("aegir_support")
    assert wait_for(all_sent, seconds=30)
    beat.kill()
    assert (_sent(sink) == _written()) is arrives


def _sent(sink):
    return {message["Message-ID"] for message in sink.taken}


def _written():
    return {mail.message_id(row) for row in Outbox.objects.all()}


def test_an_emptied_broker_costs_nothing_but_the_time_to_the_next_beat(hal, programs, broker, sink):
    file(hal)
    with redis.Redis.from_url(broker.url) as valkey:
        assert valkey.llen("celery") >= 1
        valkey.flushall()
    programs.worker()
    time.sleep(3)
    assert sink.taken == [], "nobody remembers the nudge"
    programs.beat("tests.faults.hurried")
    assert wait_for(all_sent, seconds=30)
    assert _sent(sink) == _written()


# All at once


@pytest.mark.parametrize(
    ("filings", "kills", "clock"),
    [(60, 4, "tests.faults.hurried"), pytest.param(200, 10, "aegir_support", marks=pytest.mark.long)],
)
def test_kills_lose_nothing_and_double_nothing(cast, programs, broker, sink, filings, kills, clock):
    Grant.objects.update(tickets=None)
    day = Day(cast, programs.web(), filings)
    chaos = Chaos(programs, broker, sink, clock)
    with day:
        for number in range(kills):
            chaos.kill(number)
            if number == kills // 3:
                chaos.empty_the_broker()
            if number == 2 * kills // 3:
                chaos.kill_the_broker()
        day.last_filing()
        started = time.monotonic()
        settled = wait_for(lambda: all_sent() and not Offer.objects.overdue(timezone.now()).exists(), seconds=120)
    ids = Counter(message["Message-ID"] for message in sink.taken)
    print(f"{filings} filings, {kills} kills, settled {time.monotonic() - started:.1f} s after the last filing")
    print(f"{len(ids)} mails, {sum(ids.values()) - len(ids)} repeated, {day.statuses}, {Counter(_outcomes())}")
    assert settled
    assert set(day.statuses) == {("file", 302), ("read", 200)}
    assert {ticket.filing_key for ticket in Ticket.objects.all()} == set(day.keys)
    assert broken() == []
    assert not Outbox.objects.parked().exists()
    assert set(ids) == _written()
    assert sum(ids.values()) - len(ids) <= (kills + 2) * CONCURRENCY
    assert all(len(copies) == 1 for copies in _copies(sink).values()), "a repeat is word for word the same"
    assert Counter(_outcomes())[Offer.Outcome.EXPIRED] > 0, "the sweep had work as well"


def _outcomes():
    return Offer.objects.values_list("outcome", flat=True)


def _copies(sink):
    copies = defaultdict(set)
    for message in sink.taken:
        copies[message["Message-ID"]].add((message["To"], message["Date"], message.get_body().get_content()))
    return copies


class Day:
    """Clients file and people look at pages, while the clock runs out for some of those asked."""

    def __init__(self, cast, port, filings):
        self.people = [Person(who, port) for who in [cast.hal, cast.gita, cast.iris]]
        self.readers = [Person(who, port) for who in [cast.ana, cast.chloe]]
        self.keys = [uuid.uuid4() for _ in range(filings)]
        self.statuses = Counter()
        self.all_filed = threading.Event()
        self.over = threading.Event()
        self.pool = ThreadPoolExecutor(6)

    def __enter__(self):
        self.filing = [self.pool.submit(self.file, number) for number in range(3)]
        self.rest = [*[self.pool.submit(self.read, reader) for reader in self.readers], self.pool.submit(self.time)]
        return self

    def __exit__(self, *error):
        self.all_filed.set()
        self.over.set()
        self.pool.shutdown()
        for done in self.rest:
            done.result()

    def last_filing(self):
        for done in self.filing:
            done.result()
        self.all_filed.set()

    def file(self, number):
        words = {"subject": "Verify fails", "description": "It ends with an error.", "severity": 3, "channel": "portal"}
        for key in self.keys[number::3]:
            self.statuses["file", self.people[number].post("/tickets/new/", key=key, **words)] += 1
            time.sleep(0.3)

    def read(self, reader):
        while not self.over.is_set():
            for address in ["/queue/", "/tickets/", "/home/"]:
                self.statuses["read", reader.get(address)] += 1
            self.over.wait(0.5)

    def time(self):
        try:
            while not self.all_filed.wait(0.7):
                offer = Offer.objects.open().order_by("?").first()
                if offer:
                    ends_in(offer, 0)
        finally:
            connection.close()


class Chaos:
    """Kills the worker, in whole or only its hands, and starts it again as a supervisor would."""

    def __init__(self, programs, broker, sink, clock):
        self.programs = programs
        self.broker = broker
        self.sink = sink
        self.dice = random.Random(os.environ.get("CHAOS_SEED", "24"))
        self.beat = programs.beat(clock)
        self.worker = programs.worker()

    def kill(self, number):
        before = len(self.sink.taken)
        wait_for(lambda: len(self.sink.taken) > before, seconds=12)  # it is at work
        time.sleep(self.dice.uniform(0, 0.5))
        if number % 2 and kill_pool(self.worker):
            return
        self.worker.kill()
        self.worker = self.programs.worker()

    def empty_the_broker(self):
        with redis.Redis.from_url(self.broker.url) as valkey:
            valkey.flushall()

    def kill_the_broker(self):
        self.broker.kill()
        time.sleep(1.5)
        self.broker.start()
