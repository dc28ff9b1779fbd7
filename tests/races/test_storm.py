"""Eight processes, and whatever a member, a client and the clock can do, at random, on forty tickets."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, nullcontext

import pytest

from aegir_support.invariants import broken
from billing.models import Grant
from tests.races.acting import DONE, LOST
from tests.races.crowd import TICKETS
from tests.races.elsewhere import environment, here
from tests.races.storm import START
from tests.races.together import without_constraint, without_trigger
from tests.tickets.filing import file
from tickets.models import Event, Offer, Ticket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
# Somebody who is no longer responsible may not see the ticket (404) or not act on it (403).
TOO_LATE_TO_LOOK = ("403 from", "404 from")


@pytest.fixture
def storm(cast, tmp_path):
    """Lets the processes loose: `storm(acts=60)` returns what they were told."""
    Grant.objects.update(tickets=None)
    for number in range(TICKETS):
        file([cast.hal, cast.gita, cast.iris][number % 3])
    Grant.objects.filter(client=cast.dovetail).update(tickets=TICKETS // 3 + 9)  # the last one is raced for as well
    seed = int(os.environ.get("STORM_SEED", random.randrange(10**6)))

    def let_loose(*, acts, way="Pages", guarded=True, processes=8):
        told = {"processes": processes, "acts": acts, "seed": seed, "way": way, "guarded": guarded}
        started = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-c", START, json.dumps({**told, "history": str(tmp_path / "history")})],
            env=environment(),
            cwd=here(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        history = [json.loads(line) for part in tmp_path.glob("history.*") for line in part.read_text().splitlines()]
        _show(history, time.monotonic() - started, told)
        return history

    return let_loose


def _show(history, seconds, told):
    """Figures for whoever runs it with -s, and the seed for whoever must run it again."""
    times = sorted(line["ms"] for line in history if "ms" in line)
    p99 = times[len(times) * 99 // 100]
    print(f"\n{told}: {len(times)} acts in {seconds:.1f} s, {len(times) / seconds:.0f} a second, p99 {p99:.0f} ms")
    print(Counter((line.get("word", line["act"]), _kind(line["told"])) for line in history))


def _kind(told):
    return told if told in {DONE, LOST} else told.split(" from")[0][:100]


def unexpected(history):
    """Answers that are neither a yes nor a friendly no: errors, pages with 500 and more, what the sweep stumbled on."""
    odd = [line for line in history if line["told"] not in {DONE, LOST}]
    return [line for line in odd if not (line["act"] != "answer" and line["told"].startswith(TOO_LATE_TO_LOOK))]


def not_as_told(history):
    """Holds what each was told against the rows: a yes must show, and nothing else may."""
    done = [line for line in history if line["told"] == DONE]
    answers = Counter((line["offer"], line["word"] + "ed", line["by"]) for line in done if line["act"] == "answer")
    answers = Counter({(pk, word.replace("ee", "e"), by): n for (pk, word, by), n in answers.items()})
    rows = Offer.objects.filter(answered_by__isnull=False).exclude(kind=Offer.Kind.CLAIM)
    stored = Counter(rows.values_list("pk", "outcome", "answered_by"))
    wrong = [f"offer {answer}: told {answers[answer]}, stored {stored[answer]}" for answer in answers | stored
             if answers[answer] != stored[answer]]  # fmt: skip
    deeds = Counter(line["act"] for line in done)
    logged = Counter(Event.objects.values_list("kind", flat=True))
    for act, kind in LOGGED_AS.items():
        if deeds[act] != logged[kind]:
            wrong.append(f"{act}: told {deeds[act]}, logged {logged[kind]}")
    if deeds["file"] + TICKETS != Ticket.objects.count():
        wrong.append(f"filed: told {deeds['file']}, stored {Ticket.objects.count() - TICKETS}")
    return wrong


LOGGED_AS = {
    "claim": Event.Kind.CLAIMED,
    "give_back": Event.Kind.GIVEN_BACK,
    "hand_over": Event.Kind.HAND_OVER_OFFERED,
    "withdraw": Event.Kind.TICKET_WITHDRAWN,
    "solve": Event.Kind.SOLVED,
    "confirm": Event.Kind.CONFIRMED,
    "reopen": Event.Kind.REOPENED,
}


@pytest.mark.parametrize("acts", [40, pytest.param(500, marks=pytest.mark.long)])
def test_no_ticket_is_lost_or_taken_twice(storm, acts):
    history = storm(acts=acts)
    assert unexpected(history) == []
    assert broken() == []
    assert not_as_told(history) == []


@contextmanager
def no_guards():
    with (
        without_constraint("tickets_offer", "offer_one_open_per_ticket"),
        without_trigger("tickets_offer", "ticket_on_offer_has_an_open_offer"),
        without_trigger("tickets_ticket", "ticket_on_offer_has_an_open_offer"),
    ):
        yield


@pytest.mark.parametrize(
    ("last_wall", "acts", "faults"),
    [
        (False, 15, 1),
        pytest.param(False, 500, 20, marks=pytest.mark.long),
        pytest.param(True, 500, 20, marks=pytest.mark.long),
    ],
    ids=["no guard", "no guard, long", "constraints alone"],
)
def test_without_guards_tickets_are_lost_and_taken_twice(storm, last_wall, acts, faults):
    with nullcontext() if last_wall else no_guards():
        history = storm(acts=acts, way="Actions", guarded=False)
        found = [*unexpected(history), *broken(), *not_as_told(history)]
        print(len(unexpected(history)), "errors,", len(broken()), "broken,", len(not_as_told(history)), "not as told")
    assert len(found) >= faults
