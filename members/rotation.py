"""Whose turn it is (B26–B28). Works on any table of seats that has a queue and a turn.

Every filter has run before; here the lowest turn wins and goes to the end at once, under the queue's row lock, so that
two tickets filed together go to two members.
"""

from typing import NamedTuple

from django.db import transaction

from .models import Queue, Seat, SeatQuerySet


class Turn(NamedTuple):
    """A seat that was picked, with the turn it had and the turn it got."""

    seat: Seat
    was: int
    now: int


@transaction.atomic
def take_turn(queue_name: str, seats: SeatQuerySet) -> Turn | None:
    """Pick the seat nearest the head of the queue and send it to the end. None when no seat is left."""
    queue = _locked(queue_name)
    seat = seats.filter(queue=queue).select_for_update(of=("self",)).select_related("member").in_turn_order().first()
    return _move_to_end(queue, seat) if seat else None


@transaction.atomic
def send_to_end(seat: Seat) -> Turn:
    """Give a joiner, or someone back from leave, the last place."""
    queue = _locked(seat.queue.name)
    return _move_to_end(queue, Seat.objects.select_for_update().get(pk=seat.pk))


def give_back(seat_member: int, queue_name: str, *, was: int, now: int) -> bool:
    """Return the former turn, unless the seat has moved since. True when it was given back."""
    queue = _locked(queue_name)
    return bool(Seat.objects.filter(queue=queue, member=seat_member, turn=now).update(turn=was))


@transaction.atomic
def take_seat(queue_name: str, member_id: int) -> Seat:
    """Join the queue at its end, once: whoever has a seat keeps it (B26)."""
    queue = _locked(queue_name)
    seat, joined = Seat.objects.get_or_create(queue=queue, member_id=member_id, defaults={"turn": queue.last_turn + 1})
    if joined:
        Queue.objects.filter(pk=queue.pk).update(last_turn=seat.turn)
    return seat


def _locked(queue_name: str) -> Queue:
    # One row decides the order of turns; without it one member could get both of two tickets filed at once.
    return Queue.objects.select_for_update().get(name=queue_name)


def _move_to_end(queue: Queue, seat: Seat) -> Turn:
    was, seat.turn = seat.turn, queue.last_turn + 1
    seat.save(update_fields=["turn"])
    queue.last_turn = seat.turn
    queue.save(update_fields=["last_turn"])
    return Turn(seat, was=was, now=seat.turn)
