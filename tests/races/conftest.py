import pytest
from django.db.models import Min

from billing.models import Grant
from members.models import Seat
from tests.races.acting import half_is_gone
from tests.tickets.filing import file, offer_of
from tickets import handout


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
