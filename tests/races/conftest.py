"""Two ways to the same races: the actions themselves, and the pages in front of them."""

import uuid
from datetime import timedelta

import pytest
from django.db.models import Min
from django.test import Client as Browser
from django.utils import timezone

from billing.entitlements import NothingLeft
from billing.models import Grant
from members.models import Seat
from tests.tickets.filing import file, offer_of
from tickets import actions, handout
from tickets.models import Offer, Ticket
from tickets.steps import NotNow

DONE, LOST = "done", "lost"
TOO_LATE = (handout.OfferClosed, handout.CallClosed, NotNow, NothingLeft)


def attempt(act, *words, **facts):
    """DONE, or LOST where somebody else was first."""
    try:
        done = act(*words, **facts)
    except TOO_LATE:
        return LOST
    return LOST if done is False else DONE


class Actions:
    """People act; whoever comes second gets an exception named for the reason."""

    def accept(self, offer, representative):
        return attempt(handout.accept, offer, representative)

    def refuse(self, offer, representative):
        return attempt(handout.refuse, offer, representative)

    def claim(self, ticket, representative):
        return attempt(handout.claim, ticket, representative)

    def withdraw(self, ticket, contact):
        return attempt(actions.withdraw, ticket, contact.user)

    def file(self, contact, key=None):
        return attempt(file, contact, key=key or uuid.uuid4())

    def reply(self, ticket, contact, key):
        return attempt(actions.reply, ticket, contact.user, "It fails again.", key)


class Pages:
    """People post forms; whoever comes second gets 409 and a sentence."""

    def accept(self, offer, representative):
        return self._post(representative, f"/offers/{offer.pk}/accept/")

    def refuse(self, offer, representative):
        return self._post(representative, f"/offers/{offer.pk}/refuse/", reason="")

    def claim(self, ticket, representative):
        return self._post(representative, f"/tickets/{ticket.number}/claim/")

    def withdraw(self, ticket, contact):
        return self._post(contact, f"/tickets/{ticket.number}/withdraw/")

    def file(self, contact, key=None):
        words = {"subject": "Verify fails", "description": "Every verify ends with an error.", "severity": 3}
        return self._post(contact, "/tickets/new/", channel="portal", key=key or uuid.uuid4(), **words)

    def reply(self, ticket, contact, key):
        return self._post(contact, f"/tickets/{ticket.number}/reply/", body="It fails again.", key=key)

    def _post(self, person, address, **form):
        browser = Browser(raise_request_exception=False)
        browser.force_login(person.user)
        response = browser.post(address, form)
        if response.status_code == 409:
            words = response.content.decode()
            return LOST if any(sentence in words for sentence in SENTENCES) else words
        return DONE if response.status_code == 302 else f"{response.status_code} from {address}"


SENTENCES = ["Nothing was changed.", "Your ticket was not filed."]


class Stage:
    """The cast and what races need beside it."""

    def __init__(self, cast):
        self.cast = cast
        Grant.objects.update(tickets=None)  # both clients may file as many tickets as it takes

    def __getattr__(self, name):
        return getattr(self.cast, name)

    def offered_to(self, member):
        """The open offer of a new ticket, put to this member."""
        first = Seat.objects.aggregate(turn=Min("turn"))["turn"]
        Seat.objects.filter(member=member).update(turn=first - 1)
        offer = offer_of(file(self.hal))
        assert offer.member == member
        return offer

    def on_open_call(self):
        """A new ticket for which the call is open, as if half its time were gone."""
        ticket = file(self.hal)
        half_is_gone(ticket)
        assert handout.open_call(ticket)
        return ticket


@pytest.fixture
def stage(cast):
    return Stage(cast)


def half_is_gone(ticket):
    Ticket.objects.filter(pk=ticket.pk).update(open_call_by=timezone.now())


def ends_in(offer, seconds):
    """Lets the offer's time be over in so many seconds."""
    Offer.objects.filter(pk=offer.pk).update(answer_by=timezone.now() + timedelta(seconds=seconds))
