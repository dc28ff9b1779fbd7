import pytest
from django.db import IntegrityError, transaction

from members import rotation
from members.actions import admit
from members.models import Member, Queue, Seat


def order():
    return [seat.member.name for seat in Seat.objects.select_related("member").in_turn_order()]


def test_joiners_sit_at_the_end(cast):
    assert order() == ["Ana Lima", "Veldwerk", "Atelier Boréal"]
    admit(Member.objects.create(name="Northlight", kind="organisation", country="SE"))
    assert order()[-1] == "Northlight"


def test_a_member_has_one_seat_however_often_they_are_admitted(lima):
    admit(lima)
    assert lima.seats.count() == 1


def test_taking_a_turn_goes_round(cast):
    taken = [rotation.take_turn(Queue.SUPPORT, Seat.objects.all()).seat.member.name for _ in range(6)]
    assert taken == order() * 2


def test_a_turn_is_taken_only_from_the_seats_that_are_left(lima, veldwerk):
    turn = rotation.take_turn(Queue.SUPPORT, Seat.objects.exclude(member=lima))
    assert turn.seat.member == veldwerk
    assert order()[0] == "Ana Lima", "whoever was not eligible keeps their place"


def test_nobody_left_takes_no_turn(cast):
    assert rotation.take_turn(Queue.SUPPORT, Seat.objects.none()) is None


def test_a_turn_is_given_back_to_a_seat_that_has_not_moved(lima):
    turn = rotation.take_turn(Queue.SUPPORT, Seat.objects.all())
    assert rotation.give_back(lima.pk, Queue.SUPPORT, was=turn.was, now=turn.now)
    assert order()[0] == "Ana Lima"


def test_a_turn_is_not_given_back_once_the_seat_has_moved(lima):
    first = rotation.take_turn(Queue.SUPPORT, Seat.objects.filter(member=lima))
    rotation.take_turn(Queue.SUPPORT, Seat.objects.filter(member=lima))
    assert not rotation.give_back(lima.pk, Queue.SUPPORT, was=first.was, now=first.now)


@pytest.mark.parametrize("constraint", ["seat_one_per_member", "seat_turn_is_its_own"])
def test_the_database_keeps_one_seat_and_one_turn(lima, veldwerk, constraint):
    seat = Seat.objects.get(member=lima)
    twin = {"seat_one_per_member": (lima, 99), "seat_turn_is_its_own": (None, seat.turn)}[constraint]
    newcomer = twin[0] or Member.objects.create(name="Northlight", kind="person", country="SE")
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Seat.objects.create(queue=seat.queue, member=newcomer, turn=twin[1])
