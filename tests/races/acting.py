"""Two ways to the same acts: the actions themselves, and the pages in front of them."""

import threading
import uuid
from datetime import timedelta

from django.test import Client as Browser
from django.utils import timezone

from billing.entitlements import NothingLeft
from tests.tickets.filing import file
from tickets import actions, handout
from tickets.models import Offer, Ticket
from tickets.steps import NotNow, NotYours

DONE, LOST = "done", "lost"
TOO_LATE = (handout.OfferClosed, handout.CallClosed, NotNow, NotYours, NothingLeft, actions.VerdictMissing)
WORDS = "Every verify ends with an error."


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

    def give_back(self, ticket, representative):
        return attempt(handout.give_back, ticket, representative.user)

    def hand_over(self, ticket, representative, to):
        return attempt(handout.hand_over, ticket, representative.user, to)

    def judge(self, ticket, representative, verdict):
        return attempt(actions.judge, ticket, representative.user, verdict)

    def solve(self, ticket, representative):
        return attempt(actions.solve, ticket, representative.user, WORDS)

    def confirm(self, ticket, contact):
        return attempt(actions.confirm, ticket, contact.user)

    def reopen(self, ticket, contact):
        return attempt(actions.reopen, ticket, contact.user, WORDS)

    def withdraw(self, ticket, contact):
        return attempt(actions.withdraw, ticket, contact.user)

    def file(self, contact, key=None):
        return attempt(file, contact, key=key or uuid.uuid4())

    def reply(self, ticket, person, key=None):
        return attempt(actions.reply, ticket, person.user, WORDS, key)


class Pages:
    """People post forms; whoever comes second gets 409 and a sentence."""

    def __init__(self):
        self.browsers = threading.local()

    def accept(self, offer, representative):
        return self._post(representative, f"/offers/{offer.pk}/accept/")

    def refuse(self, offer, representative):
        return self._post(representative, f"/offers/{offer.pk}/refuse/", reason="")

    def claim(self, ticket, representative):
        return self._post(representative, f"/tickets/{ticket.number}/claim/")

    def give_back(self, ticket, representative):
        return self._post(representative, f"/tickets/{ticket.number}/give-back/")

    def hand_over(self, ticket, representative, to):
        return self._post(representative, f"/tickets/{ticket.number}/hand-over/", to=to.pk)

    def judge(self, ticket, representative, verdict):
        return self._post(representative, f"/tickets/{ticket.number}/verdict/", verdict=verdict)

    def solve(self, ticket, representative):
        return self._post(representative, f"/tickets/{ticket.number}/solve/", body=WORDS, key=uuid.uuid4())

    def confirm(self, ticket, contact):
        return self._post(contact, f"/tickets/{ticket.number}/confirm/")

    def reopen(self, ticket, contact):
        return self._post(contact, f"/tickets/{ticket.number}/reopen/", body=WORDS, key=uuid.uuid4())

    def withdraw(self, ticket, contact):
        return self._post(contact, f"/tickets/{ticket.number}/withdraw/")

    def file(self, contact, key=None):
        words = {"subject": "Verify fails", "description": WORDS, "severity": 3, "channel": "portal"}
        return self._post(contact, "/tickets/new/", key=key or uuid.uuid4(), **words)

    def reply(self, ticket, person, key=None):
        return self._post(person, f"/tickets/{ticket.number}/reply/", body=WORDS, key=key or uuid.uuid4())

    def _post(self, person, address, **form):
        response = self._browser(person.user).post(address, form)
        if response.status_code == 302:
            return DONE
        if response.status_code in {409, 422} and any(sentence in response.content.decode() for sentence in SENTENCES):
            return LOST
        return f"{response.status_code} from {address}"

    def _browser(self, user):
        known = vars(self.browsers)
        if user.email not in known:
            known[user.email] = Browser(raise_request_exception=False)
            known[user.email].force_login(user)
        return known[user.email]


SENTENCES = [
    "Nothing was changed.",
    "Your ticket was not filed.",
    "Decide first whether this ticket counts",
    "so it cannot count again",
]


def half_is_gone(ticket):
    Ticket.objects.filter(pk=ticket.pk).update(open_call_by=timezone.now())


def ends_in(offer, seconds):
    """Lets the offer's time be over in so many seconds, if nobody has answered it yet."""
    Offer.objects.open().filter(pk=offer.pk).update(answer_by=timezone.now() + timedelta(seconds=seconds))
