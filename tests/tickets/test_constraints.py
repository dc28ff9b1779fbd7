"""Each rule that must never break, tried from below: the database says no, whatever the code thinks."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from tests.tickets.filing import file, offer_of
from tickets import handout
from tickets.models import Event, Message, Offer, OfferWindow, Ticket


@contextmanager
def refused(constraint):
    with pytest.raises(IntegrityError) as refusal:
        yield
    assert refusal.value.__cause__.diag.constraint_name == constraint


def change(ticket, **facts):
    with transaction.atomic():
        Ticket.objects.filter(pk=ticket.pk).update(**facts)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.fixture
def ticket(hal):
    return file(hal)


@pytest.fixture
def taken(ticket, ana):
    return handout.accept(offer_of(ticket), ana)


@pytest.mark.parametrize(
    ("constraint", "facts"),
    [
        ("ticket_has_an_assignee_while_worked_on", {"status": "working"}),
        ("ticket_waits_until_a_date", {"status": "waiting"}),
        ("ticket_on_open_call_since", {"status": "open_call"}),
        ("ticket_closed_at_a_time", {"status": "closed", "verdict": "in"}),
        ("ticket_severity_is_1_to_4", {"severity": 5}),
        ("ticket_severity_is_1_to_4", {"severity": 0}),
        ("ticket_level_is_0_to_4", {"level": 5}),
        ("ticket_has_a_subject", {"subject": ""}),
        ("ticket_on_offer_has_an_open_offer", {"status": "waiting", "waits_until": timezone.now()}),
    ],
)
def test_a_ticket_that_cannot_be_is_refused(ticket, constraint, facts):
    with refused(constraint):
        change(ticket, **facts)


def test_an_assignee_belongs_to_work(ticket, ana):
    with refused("ticket_has_an_assignee_while_worked_on"):
        change(ticket, assignee=ana)


def test_the_end_needs_a_verdict(taken):
    with refused("ticket_ends_with_a_verdict"):
        change(taken, status="solved", solved_at=timezone.now())


def test_a_ticket_on_offer_keeps_its_open_offer(ticket):
    with refused("ticket_on_offer_has_an_open_offer"), transaction.atomic():
        ticket.offers.update(outcome="withdrawn", answered_at=timezone.now())
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def offer_row(ticket, member, **facts):
    now = timezone.now()
    Offer.objects.create(
        ticket=ticket, member=member, **{"kind": "hand_over", "answer_by": now, "offered_at": now} | facts
    )


@pytest.mark.parametrize(
    ("constraint", "facts"),
    [
        ("offer_one_open_per_ticket", {}),
        ("offer_is_open_until_answered", {"outcome": "refused"}),
        ("offer_is_accepted_by_somebody", {"outcome": "accepted", "answered_at": timezone.now()}),
        ("offer_by_turn_remembers_both_turns", {"kind": "turn", "outcome": "expired", "answered_at": timezone.now()}),
        ("offer_can_be_answered", {"answer_by": timezone.now() - timedelta(days=1)}),
        ("offer_outcome_is_known", {"outcome": "lost", "answered_at": timezone.now()}),
    ],
)
def test_an_offer_that_cannot_be_is_refused(ticket, veldwerk, constraint, facts):
    with refused(constraint), transaction.atomic():
        offer_row(ticket, veldwerk, **facts)


def test_a_note_never_comes_from_a_client(ticket, hal):
    with refused("message_note_is_never_from_a_client"), transaction.atomic():
        Message.objects.create(ticket=ticket, author=hal.user, kind="note", from_client=True, body="x", html="x")


@pytest.mark.parametrize(
    ("constraint", "facts"),
    [("message_kind_is_known", {"kind": "shout"}), ("message_says_something", {"body": ""})],
)
def test_a_message_that_cannot_be_is_refused(ticket, hal, constraint, facts):
    with refused(constraint), transaction.atomic():
        Message.objects.create(
            ticket=ticket, author=hal.user, **{"kind": "reply", "from_client": False, "body": "x", "html": "x"} | facts
        )


@pytest.mark.parametrize("change_log", [lambda: Event.objects.update(detail="x"), lambda: Event.objects.all().delete()])
def test_the_log_is_only_added_to(ticket, change_log):
    with refused("event_never_changes"), transaction.atomic():
        change_log()


def test_a_window_leaves_ten_minutes(cast):
    with refused("window_leaves_ten_minutes"), transaction.atomic():
        OfferWindow.objects.update(minutes=9)
