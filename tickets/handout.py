"""How a ticket finds the one person responsible for it: offers, the open call, hand-overs (product.md, The queue).

Each action is one transaction and takes its locks in one order: ticket, the client's grants, queue, seats.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from members import rotation
from members.models import Member, Queue, Representative, User

from . import eligibility, emails, sla
from .models import Event, Offer, Ticket
from .steps import NotNow, NotYours, is_assignee, locked_for_assignee, move, record

Kind = Event.Kind
Status = Ticket.Status


class OfferClosed(Exception):
    """Somebody, or the clock, answered this offer first."""


class CallClosed(Exception):
    """The ticket is no longer on open call."""


def offer_to_next_member(ticket: Ticket) -> None:
    """Put the ticket to the eligible seat with the lowest turn; else let it wait, or open the call (The queue 2 and 6).

    The caller holds the ticket's lock, and the ticket has neither assignee nor open offer.
    """
    now = timezone.now()
    if now >= ticket.open_call_by:
        _open_call(ticket)
        return
    turn = rotation.take_turn(Queue.SUPPORT, eligibility.seats_for(ticket))
    if turn:
        offer = _offer(ticket, turn.seat.member, Offer.Kind.TURN, turn_was=turn.was, turn_now=turn.now)
        move(ticket, Status.OFFERED)
        record(ticket, Kind.OFFERED, member=offer.member)
    elif eligibility.anybody_was_asked(ticket):
        _open_call(ticket)
    else:
        _wait(ticket)


def accept(offer: Offer, representative: Representative) -> Ticket:
    """Take the ticket; from now on this representative is responsible for it (B14). Raises OfferClosed, NotYours."""
    try:
        return _accept(offer, representative)
    except OfferClosed:
        expire(offer)  # the clock may have decided it, and the next member should not wait for the sweep
        raise


@transaction.atomic
def _accept(offer: Offer, representative: Representative) -> Ticket:
    ticket = Ticket.objects.locked(offer.ticket_id)
    _answer(offer, Offer.Outcome.ACCEPTED, representative)
    handed_over = offer.kind == Offer.Kind.HAND_OVER
    if handed_over:
        emails.hand_over_answered(offer)
    _assign(ticket, representative)
    record(ticket, Kind.HANDED_OVER if handed_over else Kind.ACCEPTED, representative.user, member=offer.member)
    return ticket


def refuse(offer: Offer, representative: Representative, reason: str = "") -> None:
    """Pass the ticket on. A member owes nobody a reason (B10). Raises OfferClosed, NotYours."""
    try:
        _refuse(offer, representative, reason)
    except OfferClosed:
        expire(offer)
        raise


@transaction.atomic
def _refuse(offer: Offer, representative: Representative, reason: str) -> None:
    ticket = Ticket.objects.locked(offer.ticket_id)
    _answer(offer, Offer.Outcome.REFUSED, representative, reason)
    if offer.kind == Offer.Kind.HAND_OVER:
        emails.hand_over_answered(offer)
        record(ticket, Kind.HAND_OVER_REFUSED, representative.user, member=offer.member)
        return
    record(ticket, Kind.REFUSED, representative.user, member=offer.member)
    offer_to_next_member(ticket)


@transaction.atomic
def expire(offer: Offer) -> bool:
    """Pass the ticket on when the offer's time is over; the turn stays used. False when there was nothing to do."""
    ticket = Ticket.objects.locked(offer.ticket_id)
    now = timezone.now()
    if not Offer.objects.overdue(now).filter(pk=offer.pk).update(outcome=Offer.Outcome.EXPIRED, answered_at=now):
        return False
    offer.refresh_from_db()
    emails.offer_expired(offer)
    if offer.kind == Offer.Kind.HAND_OVER:
        emails.hand_over_answered(offer)
        record(ticket, Kind.HAND_OVER_REFUSED, member=offer.member)
        return True
    record(ticket, Kind.EXPIRED, member=offer.member)
    offer_to_next_member(ticket)
    return True


@transaction.atomic
def claim(ticket: Ticket, representative: Representative) -> Ticket:
    """Take a ticket from the open call; first come, and no turn moves (The queue 6). Raises CallClosed, NotYours."""
    if not representative.member.is_active:
        raise NotYours
    ticket = Ticket.objects.locked(ticket.number)
    if not ticket.is_open_call:
        raise CallClosed
    now = timezone.now()
    Offer.objects.create(
        ticket=ticket,
        member=representative.member,
        kind=Offer.Kind.CLAIM,
        round=ticket.round,
        outcome=Offer.Outcome.ACCEPTED,
        offered_at=now,
        answer_by=now,
        answered_at=now,
        answered_by=representative,
    )
    _assign(ticket, representative)
    record(ticket, Kind.CLAIMED, representative.user, member=representative.member)
    return ticket


@transaction.atomic
def open_call(ticket: Ticket) -> bool:
    """Let any member claim when half the time to respond is gone; an open offer is withdrawn, its turn given back."""
    ticket = Ticket.objects.locked(ticket.number)
    if not Ticket.objects.due_for_open_call(timezone.now()).filter(pk=ticket.pk).exists():
        return False
    withdraw_open_offer(ticket)
    _open_call(ticket)
    return True


@transaction.atomic
def offer_again(ticket: Ticket) -> bool:
    """Try a waiting ticket once more. False when somebody else has moved it."""
    ticket = Ticket.objects.locked(ticket.number)
    if ticket.status != Status.WAITING:
        return False
    offer_to_next_member(ticket)
    return ticket.status != Status.WAITING


@transaction.atomic
def hand_over(ticket: Ticket, by: User, to: Member) -> Offer:
    """Offer one's ticket to another member; until they accept nothing changes (queue 7). Raises NotYours, NotNow."""
    ticket = locked_for_assignee(ticket, by)
    if ticket.status == Status.SOLVED or ticket.offers.open().exists() or not to.is_active:
        raise NotNow
    if ticket.assignee and ticket.assignee.member_id == to.pk:
        raise NotNow
    offer = _offer(ticket, to, Offer.Kind.HAND_OVER)
    record(ticket, Kind.HAND_OVER_OFFERED, by, member=to)
    return offer


@transaction.atomic
def withdraw_hand_over(ticket: Ticket, by: User) -> None:
    """Take a hand-over back that nobody has answered yet. Raises NotYours, NotNow."""
    ticket = locked_for_assignee(ticket, by)
    if not ticket.offers.open().exists():
        raise NotNow
    withdraw_open_offer(ticket)


@transaction.atomic
def give_back(ticket: Ticket, by: User) -> None:
    """Drop an accepted ticket: it goes to the next member. Recorded apart from a refusal.

    A coordinator may do it for an assignee who cannot. Raises NotYours, NotNow.
    """
    ticket = Ticket.objects.locked(ticket.number)
    if not is_assignee(ticket, by) and not by.is_coordinator:
        raise NotYours
    if ticket.status not in {Status.WORKING, Status.WITH_CLIENT}:
        raise NotNow
    _drop(ticket, by)


@transaction.atomic
def take_from_who_left(ticket: Ticket) -> bool:
    """Put the work of a member who has left before the others. False when it has moved meanwhile."""
    ticket = Ticket.objects.locked(ticket.number)
    if not Ticket.objects.abandoned().filter(pk=ticket.pk).exists():
        return False
    _drop(ticket)
    return True


@transaction.atomic
def pass_on(offer: Offer) -> bool:
    """Withdraw the offer to a member who has been paused or has left, and ask the next. False when it is answered."""
    ticket = Ticket.objects.locked(offer.ticket_id)
    if not Offer.objects.orphaned().filter(pk=offer.pk).exists():
        return False
    withdraw_open_offer(ticket)
    if ticket.status == Status.OFFERED:
        offer_to_next_member(ticket)
    return True


def ask_last_assignee_first(ticket: Ticket, last: Representative | None) -> None:
    """Begin a new round for a reopened ticket: its last assignee is asked once, then the queue (The queue 10)."""
    ticket.round += 1
    _back_to_the_queue(ticket)
    if last and last.member.can_be_asked:
        _offer(ticket, last.member, Offer.Kind.REOPENED)
        move(ticket, Status.OFFERED)
        record(ticket, Kind.ASKED_AGAIN, member=last.member)
    else:
        offer_to_next_member(ticket)


# Steps that several of these share


def _offer(
    ticket: Ticket, member: Member, kind: str, *, turn_was: int | None = None, turn_now: int | None = None
) -> Offer:
    now = timezone.now()
    offer = Offer.objects.create(
        ticket=ticket,
        member=member,
        kind=kind,
        round=ticket.round,
        turn_was=turn_was,
        turn_now=turn_now,
        offered_at=now,
        answer_by=sla.answer_by(ticket, now),
    )
    emails.offer_made(offer)
    return offer


def _answer(offer: Offer, outcome: str, representative: Representative, reason: str = "") -> None:
    if representative.member_id != offer.member_id:
        raise NotYours
    if not Member.objects.active().filter(pk=offer.member_id).exists():
        raise OfferClosed  # the sweep withdraws it within half a minute
    now = timezone.now()
    # One UPDATE decides between an answer, another answer and the clock, so only the first of them counts.
    if (
        not Offer.objects.open()
        .filter(pk=offer.pk, answer_by__gt=now)
        .update(outcome=outcome, answered_at=now, answered_by=representative, reason=reason[:200])
    ):
        raise OfferClosed
    offer.refresh_from_db()


def withdraw_open_offer(ticket: Ticket) -> None:
    offer = ticket.offers.open().first()
    if offer is None:
        return
    Offer.objects.open().filter(pk=offer.pk).update(outcome=Offer.Outcome.WITHDRAWN, answered_at=timezone.now())
    if offer.turn_was is not None and offer.turn_now is not None:
        rotation.give_back(offer.member_id, Queue.SUPPORT, was=offer.turn_was, now=offer.turn_now)
    is_hand_over = offer.kind == Offer.Kind.HAND_OVER
    record(ticket, Kind.HAND_OVER_WITHDRAWN if is_hand_over else Kind.OFFER_WITHDRAWN, member=offer.member)


def _assign(ticket: Ticket, representative: Representative) -> None:
    status = ticket.status if ticket.status == Status.WITH_CLIENT else Status.WORKING
    move(ticket, status, assignee=representative)


def _open_call(ticket: Ticket) -> None:
    move(ticket, Status.OPEN_CALL, open_call_at=timezone.now())
    record(ticket, Kind.CALL_OPENED)
    emails.call_opened(ticket)


def _wait(ticket: Ticket) -> None:
    back = eligibility.next_return(ticket)
    until = min(back, ticket.open_call_by) if back else ticket.open_call_by
    if ticket.status == Status.WAITING and ticket.waits_until == until:
        return  # the sweep asked again and nothing has changed: no news
    move(ticket, Status.WAITING, waits_until=until)
    record(ticket, Kind.WAITING)


def _drop(ticket: Ticket, by: User | None = None) -> None:
    withdraw_open_offer(ticket)
    record(ticket, Kind.GIVEN_BACK, by, member=ticket.assignee.member if ticket.assignee else None)
    _back_to_the_queue(ticket)
    offer_to_next_member(ticket)


def _back_to_the_queue(ticket: Ticket) -> None:
    now = timezone.now()
    if ticket.first_response_at:
        # The promise is kept, so the queue has as long to find somebody as it had the first time. Before that, the
        # promise's own half stands, however often the ticket changes hands.
        ticket.open_call_by = now + (ticket.first_response_by - ticket.filed_at) / 2
    move(ticket, Status.WAITING, waits_until=now, assignee=None, solved_at=None, closed_at=None)
