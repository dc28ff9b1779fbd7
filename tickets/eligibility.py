"""Which seats a ticket may be offered to. Each filter is one small rule; the lowest turn of the rest is next."""

from __future__ import annotations

from datetime import datetime

from members.models import Member, Queue, Seat, SeatQuerySet

from .models import Offer, Ticket


def seats_for(ticket: Ticket) -> SeatQuerySet:
    """Seats that may be offered this ticket now (The queue 3): active, not away, not yet asked in this round."""
    return not_asked_yet(not_away(active(Seat.objects.filter(queue__name=Queue.SUPPORT))), ticket)


def active(seats: SeatQuerySet) -> SeatQuerySet:
    """Paused members and those who left keep out of the rotation."""
    return seats.filter(member__status=Member.Status.ACTIVE)


def not_away(seats: SeatQuerySet) -> SeatQuerySet:
    """Nobody is asked before they are back and have taken their place at the end again."""
    return seats.filter(member__away_until=None)


def not_asked_yet(seats: SeatQuerySet, ticket: Ticket) -> SeatQuerySet:
    """Whoever refused it, let it expire or gave it back in this round is not asked again in it (B27)."""
    asked = Offer.objects.settled_in(ticket).values("member")
    return seats.exclude(member__in=asked)


def anybody_was_asked(ticket: Ticket) -> bool:
    """True when this round has had at least one answer, so that a lap without a taker can be full."""
    return Offer.objects.settled_in(ticket).exists()


def next_return(ticket: Ticket) -> datetime | None:
    """When the first member who is only away comes back; None when nobody is."""
    seats = not_asked_yet(active(Seat.objects.filter(queue__name=Queue.SUPPORT)), ticket)
    away = Member.objects.filter(seats__in=seats).away().order_by("away_until").first()
    return away.back_at if away else None
