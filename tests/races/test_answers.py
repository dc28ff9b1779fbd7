"""A ticket has one taker and an offer one answer, whoever else acts at the same moment.

Each race is run with its guards, where exactly one may win, and again without one of them, where it must go wrong: so
we know that the race is real and that this guard decides it.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from aegir_support.invariants import broken
from billing.models import Charge, Grant
from members.models import Queue
from tests.races.acting import DONE, LOST, Actions, Pages, attempt, ends_in, half_is_gone
from tests.races.together import (
    at_once,
    pause_before,
    without_conditional_update,
    without_constraint,
    without_row_lock,
)
from tickets import handout
from tickets.models import Message, Offer, OfferQuerySet, Ticket

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Race:
    """Something that two try at once. `run` returns what became of them, and what is expected of both."""

    run: Callable
    pause: tuple[str, str]
    guards: tuple[Callable, ...]
    fair: tuple = (DONE, LOST)

    def __str__(self):
        return self.run.__name__


RACES = []


def race(*, pause, guards, **facts):
    def enter(run):
        RACES.append(Race(run, pause, guards, **facts))
        return run

    return enter


def ticket_lock():
    return without_row_lock(Ticket)


def one_update():
    return without_conditional_update(OfferQuerySet)


ANSWERED = ("UPDATE OF outcome", "tickets_offer")


@race(pause=ANSWERED, guards=(ticket_lock, one_update))
def two_representatives_accept(stage, they):
    offer = stage.offered_to(stage.boreal)
    return at_once(lambda: they.accept(offer, stage.chloe), lambda: they.accept(offer, stage.denis))


@race(pause=ANSWERED, guards=(ticket_lock, one_update))
def one_representative_accepts_and_one_refuses(stage, they):
    offer = stage.offered_to(stage.boreal)
    return at_once(lambda: they.accept(offer, stage.chloe), lambda: they.refuse(offer, stage.denis))


@race(pause=ANSWERED, guards=(ticket_lock, one_update))
def accepting_and_the_end_of_the_time(stage, they):
    offer = stage.offered_to(stage.lima)
    ends_in(offer, 0.2)

    def clock():
        time.sleep(0.25)
        return attempt(handout.expire, offer)

    return at_once(lambda: they.accept(offer, stage.ana), clock)


@race(pause=ANSWERED, guards=(ticket_lock,))
def accepting_and_the_clients_withdrawal(stage, they):
    offer = stage.offered_to(stage.lima)
    return at_once(lambda: they.accept(offer, stage.ana), lambda: they.withdraw(offer.ticket, stage.gita))


@race(pause=ANSWERED, guards=(ticket_lock,))
def accepting_and_the_open_call_at_half_time(stage, they):
    offer = stage.offered_to(stage.lima)
    half_is_gone(offer.ticket)
    return at_once(lambda: they.accept(offer, stage.ana), lambda: attempt(handout.open_call, offer.ticket))


@race(pause=("INSERT", "tickets_offer"), guards=(ticket_lock,))
def two_members_claim(stage, they):
    ticket = stage.on_open_call()
    return at_once(lambda: they.claim(ticket, stage.ana), lambda: they.claim(ticket, stage.bo))


@race(pause=("UPDATE", "tickets_ticket"), guards=(ticket_lock,))
def claiming_and_the_clients_withdrawal(stage, they):
    ticket = stage.on_open_call()
    return at_once(lambda: they.claim(ticket, stage.ana), lambda: they.withdraw(ticket, stage.hal))


@race(
    pause=("INSERT", "billing_charge"),
    guards=(lambda: without_row_lock(Grant), lambda: without_constraint("billing_grant", "grant_never_overdrawn")),
)
def two_people_file_with_the_last_ticket(stage, they):
    used = Charge.objects.exclude(state="released").filter(grant__client=stage.riverbank).count()
    Grant.objects.filter(client=stage.riverbank).update(tickets=used + 1)
    return at_once(lambda: they.file(stage.gita), lambda: they.file(stage.hal))


def queue_lock():
    return without_row_lock(Queue)


@race(pause=("UPDATE", "members_seat"), guards=(queue_lock,), fair=(2, DONE, DONE))
def two_tickets_are_filed(stage, they):
    before = set(Offer.objects.values_list("pk", flat=True))
    results = at_once(lambda: they.file(stage.hal), lambda: they.file(stage.iris))
    asked = Offer.objects.exclude(pk__in=before).values("member").distinct().count()
    return [asked, *results]


def unique_filing():
    return without_constraint("tickets_ticket", "tickets_ticket_filing_key_key")


def unique_message():
    return without_constraint("tickets_message", "tickets_message_key_key")


@race(pause=("INSERT", "tickets_ticket"), guards=(unique_message, unique_filing), fair=(1, 1, DONE, DONE))
def the_same_filing_is_posted_twice(stage, they):
    key = uuid.uuid4()
    results = at_once(*[lambda: they.file(stage.hal, key)] * 2)
    return [
        Ticket.objects.filter(filing_key=key).count(),
        Message.objects.filter(ticket__filing_key=key).count(),
        *results,
    ]


@race(pause=("INSERT", "tickets_message"), guards=(ticket_lock, unique_message), fair=(1, DONE, DONE))
def the_same_reply_is_posted_twice(stage, they):
    ticket = handout.accept(stage.offered_to(stage.lima), stage.ana)
    key = uuid.uuid4()
    results = at_once(*[lambda: they.reply(ticket, stage.hal, key)] * 2)
    return [ticket.messages.count() - 1, *results]  # one is the filing's


@contextmanager
def out(guards):
    with ExitStack() as without:
        for guard in guards:
            without.enter_context(guard())
        yield


def faults(race, stage, they, tries):
    """How it went wrong, at most once a try: not as the race should end, or against an invariant."""
    found, known = [], set(broken())
    for _ in range(tries):
        ended = sorted(race.run(stage, they), key=str)
        against = set(broken()) - known
        if ended != sorted(race.fair, key=str) or against:
            found.append((ended, against))
            known |= against
    return found


@pytest.mark.parametrize("they", [Actions(), Pages()], ids=["actions", "pages"])
@pytest.mark.parametrize("race", RACES, ids=str)
def test_exactly_one_wins(race, stage, they):
    with pause_before(*race.pause, seconds=0.2):
        assert faults(race, stage, they, tries=1) == []


@pytest.mark.parametrize("race", RACES, ids=str)
def test_without_its_guards_it_goes_wrong(race, stage):
    with out(race.guards), pause_before(*race.pause):
        assert any(faults(race, stage, Actions(), tries=1) for _ in range(4))


@pytest.mark.long
@pytest.mark.parametrize("they", [Actions(), Pages()], ids=["actions", "pages"])
@pytest.mark.parametrize("race", RACES, ids=str)
def test_exactly_one_wins_every_time(race, stage, they):
    with pause_before(*race.pause, seconds=0.1):
        assert faults(race, stage, they, tries=20) == []


@pytest.mark.long
@pytest.mark.parametrize("race", RACES, ids=str)
def test_without_its_guards_it_goes_wrong_nearly_every_time(race, stage):
    with out(race.guards), pause_before(*race.pause):
        assert len(faults(race, stage, Actions(), tries=10)) >= 8
