"""People who write forms and repeat them until they are told that it is saved; and what the rows say to that."""

import random
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg

from aegir_support.invariants import invariants
from tests.faults.day import WORDS
from tests.faults.programs import NOTHING, Person

SAVED, AWAY = 302, 503


@dataclass
class Form:
    """One form and its history: what came back, in order."""

    words: str
    keyed: bool
    answers: list = field(default_factory=list)
    acknowledged_at: float | None = None


class Writers:
    """Several people who file and reply at once, each form until it is acknowledged.

    A careful writer repeats the very form, its key in it; a careless one opens a new form and types the same again.
    Some posts are cut off before their answer is heard, as by a train in a tunnel.
    """

    def __init__(self, sessions, port, *, careful, careless, seed, pause=0.05):
        self.forms = []
        self.refusals = []
        self.pause = pause
        self.enough = threading.Event()
        kinds = [True] * careful + [False] * careless
        self.pool = ThreadPoolExecutor(len(kinds))
        self.writing = [
            self.pool.submit(
                self._write,
                number,
                Person(sessions[number % len(sessions)], port),
                keyed,
                random.Random(f"{seed} {number}"),
            )
            for number, keyed in enumerate(kinds)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.end()

    def end(self):
        """Each finishes the form in hand."""
        self.enough.set()
        self.pool.shutdown()
        for done in self.writing:
            done.result()

    def acknowledged(self):
        return sum(form.acknowledged_at is not None for form in list(self.forms))

    def acknowledged_since(self, moment):
        return any(form.acknowledged_at and form.acknowledged_at > moment for form in list(self.forms))

    def _write(self, number, person, keyed, dice):
        address, count = None, 0
        while not self.enough.is_set():
            form = Form(f"w{number}-{count}", keyed)
            self.forms.append(form)
            if count % 3 == 0 or address is None:
                answer = self._insist(person, "/tickets/new/", form, dice, {**WORDS, "subject": form.words})
                address = answer and answer.headers["location"]
            else:
                self._insist(person, f"{address}reply/", form, dice, {"body": form.words})
            count += 1

    def _insist(self, person, address, form, dice, words):
        key = uuid.uuid4()
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            hang_up = dice.uniform(0.01, 0.3) if dice.random() < (0.1 if form.keyed else 0.4) else None
            asked = time.time()
            answer = person.post(address, hang_up=hang_up, key=key if form.keyed else uuid.uuid4(), **words)
            form.answers.append(answer.status)
            if answer.status == SAVED and answer.headers["location"].startswith("/tickets/"):
                form.acknowledged_at = asked
                return answer
            if answer.status != NOTHING:
                self.refusals.append(answer)
            time.sleep(dice.uniform(0.5, 1.5) * self.pause * (1 if hang_up else 4))
        return None


class Saved:
    """What a database holds, read past Django."""

    def __init__(self, url):
        with psycopg.connect(url) as there:
            tickets = there.execute("SELECT subject, count(*) FROM tickets_ticket GROUP BY 1").fetchall()
            messages = there.execute("SELECT body, count(*) FROM tickets_message GROUP BY 1").fetchall()
            self.broken = [
                f"{sentence} {row}"
                for sentence, query in invariants().items()
                for row in there.execute(query).fetchall()
            ]
        self.found = Counter(dict(tickets)) + Counter(dict(messages))

    def missing(self, forms):
        """Acknowledged, and not there."""
        return [form for form in forms if form.acknowledged_at and not self.found[form.words]]

    def doubled(self, forms):
        return [form for form in forms if self.found[form.words] > 1]
