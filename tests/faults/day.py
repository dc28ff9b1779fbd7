"""A working day over HTTP, what goes wrong meanwhile, and what must be true in the evening."""

import os
import random
import signal
import threading
import time
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import redis
from django.db import connection
from django.utils import timezone

from aegir_support import mail
from aegir_support.invariants import broken
from aegir_support.models import Outbox
from tests.faults.programs import CONCURRENCY, Person, kill_children, wait_for
from tests.races.acting import ends_in
from tickets.models import Offer, Ticket

WORDS = {"subject": "Verify fails", "description": "It ends with an error.", "severity": 3, "channel": "portal"}


class Day:
    """Clients file and people look at pages, while the clock runs out for some of those asked.

    It goes on until it is told to end, and until at least so many tickets are filed.
    """

    def __init__(self, cast, port, *, filings, pause=0.3):
        self.people = [Person.of(who, port) for who in [cast.hal, cast.gita, cast.iris]]
        self.readers = [Person.of(who, port) for who in [cast.ana, cast.chloe]]
        self.filings = filings
        self.pause = pause
        self.keys = []
        self.statuses = Counter()
        self.times = defaultdict(list)  # seconds, by what was so meanwhile
        self.weather = "calm"
        self.enough = threading.Event()
        self.all_filed = threading.Event()
        self.over = threading.Event()
        self.pool = ThreadPoolExecutor(6)

    def __enter__(self):
        self.filing = [self.pool.submit(self._file, person) for person in self.people]
        self.rest = [*[self.pool.submit(self._read, reader) for reader in self.readers], self.pool.submit(self._time)]
        return self

    def __exit__(self, *error):
        for flag in [self.enough, self.all_filed, self.over]:
            flag.set()
        self.pool.shutdown()
        for done in self.rest:
            done.result()

    def end(self):
        """The last ticket is filed; pages are read on."""
        self.enough.set()
        for done in self.filing:
            done.result()
        self.all_filed.set()

    @contextmanager
    def while_(self, weather):
        """What is asked meanwhile is timed apart."""
        self.weather = weather
        try:
            yield
        finally:
            self.weather = "calm"

    def _file(self, person):
        while not self.over.is_set() and not (self.enough.is_set() and len(self.keys) >= self.filings):
            key = uuid.uuid4()
            self.keys.append(key)
            self._note("file", lambda key=key: person.post("/tickets/new/", key=key, **WORDS))
            self.over.wait(self.pause)

    def _read(self, reader):
        while not self.over.is_set():
            for address in ["/queue/", "/tickets/", "/home/"]:
                self._note("read", lambda address=address: reader.get(address))
            self.over.wait(0.5)

    def _note(self, what, ask):
        weather = self.weather
        answer = ask()
        self.statuses[what, answer.status] += 1
        self.times[weather, what].append(answer.seconds)

    def _time(self):
        try:
            while not self.all_filed.wait(self.pause * 2):
                offer = Offer.objects.open().order_by("?").first()
                if offer:
                    ends_in(offer, 0)
        finally:
            connection.close()

    def show(self):
        """Figures for whoever runs it with -s."""
        for (weather, what), seconds in sorted(self.times.items()):
            ordered = sorted(seconds)
            p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
            print(
                f"{what} while {weather}: {len(ordered)}, p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, "
                f"slowest {ordered[-1] * 1000:.0f} ms"
            )


class Chaos:
    """Kills the worker, in whole or only its hands, and beat, and starts them again as a supervisor would."""

    def __init__(self, programs, broker, sink, *, seed, jobs="aegir_support", clock="tests.faults.hurried"):
        self.programs = programs
        self.broker = broker
        self.sink = sink
        self.jobs = jobs
        self.clock = clock
        self.dice = random.Random(seed)
        self.kills = Counter()
        self.worker = programs.worker(jobs)
        self.beat = programs.beat(clock) if clock else None

    def kill(self):
        """One of them, while the worker is at work."""
        before = len(self.sink.taken)
        wait_for(lambda: len(self.sink.taken) > before, seconds=12)
        time.sleep(self.dice.uniform(0, 0.5))
        # The dice decide when; each way has its turn, so that a short run knows them all.
        way = [self._children, self._group, self._beat][self.kills.total() % 3]
        self.kills[way()] += 1

    def _children(self):
        return "children" if kill_children(self.worker) else self._group()

    def _group(self):
        self.worker.kill()
        self.worker = self.programs.worker(self.jobs)
        return "group"

    def _beat(self):
        if self.beat is None:
            return self._group()
        self.beat.kill()
        self.beat = self.programs.beat(self.clock)
        return "beat"

    # The broker goes and comes back; nobody is told.

    def flush_the_broker(self):
        with redis.Redis.from_url(self.broker.url) as valkey:
            valkey.flushall()

    def kill_the_broker(self, seconds):
        self.broker.kill()
        time.sleep(seconds)
        self.broker.start()

    def stop_the_broker(self, seconds):
        self.broker.stop()
        time.sleep(seconds)
        self.broker.start()

    def freeze_the_broker(self, seconds):
        with self.frozen_broker():
            time.sleep(seconds)

    @contextmanager
    def frozen_broker(self):
        """It hangs: connections are taken and nothing is answered."""
        os.kill(self.broker.child.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.broker.child.pid, signal.SIGCONT)


def settled():
    """Everybody is told, and no offer is late."""
    return not Outbox.objects.waiting().exists() and not Offer.objects.overdue(timezone.now()).exists()


def jobs_done():
    """Mails told, and offers that the sweep let expire."""
    return Outbox.objects.done().count() + Offer.objects.filter(outcome=Offer.Outcome.EXPIRED).count()


def written():
    return {mail.message_id(row) for row in Outbox.objects.all()}


def arrived(sink):
    """How often each message came."""
    return Counter(message["Message-ID"] for message in list(sink.taken))


def repeated(sink):
    return arrived(sink).total() - len(arrived(sink))


def nothing_is_lost_or_doubled(day, sink, *, breaks):
    """Holds what everybody was told against the rows; `breaks` is how often something was killed or cut off."""
    assert set(day.statuses) == {("file", 302), ("read", 200)}
    assert sorted(ticket.filing_key for ticket in Ticket.objects.all()) == sorted(day.keys)
    assert broken() == []
    assert not Outbox.objects.parked().exists()
    assert set(arrived(sink)) == written()
    assert repeated(sink) <= breaks * CONCURRENCY, "a mail is repeated only by who was killed over it"
    assert all(len(copies) == 1 for copies in _copies(sink).values()), "a repeat is word for word the same"
    assert Offer.objects.filter(outcome=Offer.Outcome.EXPIRED).exists(), "the sweep had work as well"


def _copies(sink):
    copies = defaultdict(set)
    for message in sink.taken:
        copies[message["Message-ID"]].add((message["To"], message["Date"], message.get_body().get_content()))
    return copies
