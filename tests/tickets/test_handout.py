from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from aegir_support.models import Outbox
from members.actions import come_back, go_away, welcome_back
from members.models import Member, Seat
from tests.tickets.filing import file, offer_of
from tickets import actions, handout
from tickets.models import Event, Offer, Ticket


def test_a_ticket_is_offered_to_the_head_of_the_queue(hal, lima):
    assert offer_of(file(hal)).member == lima


def test_offering_sends_the_member_to_the_end(hal, lima):
    file(hal)
    assert Seat.objects.in_turn_order().last().member == lima


def test_two_tickets_go_to_two_members(hal, lima, veldwerk):
    assert [offer_of(file(hal)).member for _ in range(2)] == [lima, veldwerk]


def test_a_refused_ticket_goes_to_the_next_member(hal, ana, veldwerk):
    ticket = file(hal)
    handout.refuse(offer_of(ticket), ana)
    assert offer_of(ticket).member == veldwerk


def test_refusing_keeps_the_place_that_offering_gave(hal, ana, lima):
    ticket = file(hal)
    turn = Seat.objects.get(member=lima).turn
    handout.refuse(offer_of(ticket), ana)
    assert Seat.objects.get(member=lima).turn == turn


def test_accepting_makes_the_representative_responsible(hal, ana):
    ticket = handout.accept(offer_of(file(hal)), ana)
    assert (ticket.status, ticket.assignee) == (Ticket.Status.WORKING, ana)


def test_an_offer_is_answered_only_by_its_member(hal, bo):
    with pytest.raises(handout.NotYours):
        handout.accept(offer_of(file(hal)), bo)


def test_an_answered_offer_cannot_be_answered_again(hal, ana):
    offer = offer_of(file(hal))
    handout.refuse(offer, ana)
    with pytest.raises(handout.OfferClosed):
        handout.accept(offer, ana)


def test_an_offer_times_out_and_the_next_member_is_asked(hal, veldwerk):
    ticket = file(hal)
    with time_machine.travel(timezone.now() + timedelta(hours=2, minutes=1), tick=False):
        actions.sweep(timezone.now())
        assert offer_of(ticket).member == veldwerk
    assert ticket.offers.first().outcome == Offer.Outcome.EXPIRED


def test_accepting_too_late_passes_the_ticket_on_without_waiting_for_the_sweep(hal, ana, veldwerk):
    ticket = file(hal)
    offer = offer_of(ticket)
    with time_machine.travel(timezone.now() + timedelta(hours=2, minutes=1), tick=False):
        with pytest.raises(handout.OfferClosed):
            handout.accept(offer, ana)
        assert offer_of(ticket).member == veldwerk


def test_after_a_full_lap_any_member_may_claim(hal, ana, bo, chloe, denis):
    ticket = file(hal)
    for representative in [ana, bo, denis]:
        handout.refuse(offer_of(ticket), representative)
    ticket.refresh_from_db()
    assert ticket.is_open_call
    turns = list(Seat.objects.in_turn_order().values_list("member", "turn"))
    handout.claim(ticket, ana)
    ticket.refresh_from_db()
    assert ticket.assignee == ana
    assert list(Seat.objects.in_turn_order().values_list("member", "turn")) == turns, "a claim moves no turn"


def test_a_claimed_ticket_cannot_be_claimed_again(hal, ana, bo, denis):
    ticket = file(hal)
    for representative in [ana, bo, denis]:
        handout.refuse(offer_of(ticket), representative)
    handout.claim(ticket, bo)
    with pytest.raises(handout.CallClosed):
        handout.claim(ticket, ana)


def test_a_ticket_nobody_can_take_now_waits_with_a_date(hal, lima, veldwerk, boreal):
    back = timezone.localdate() + timedelta(days=1)
    for member in [lima, veldwerk, boreal]:
        go_away(member, back)
    ticket = file(hal, severity=4)
    assert (ticket.status, ticket.offers.count()) == (Ticket.Status.WAITING, 0)
    assert ticket.waits_until is not None


def test_a_waiting_ticket_is_offered_when_somebody_comes_back(hal, lima, veldwerk, boreal):
    for member in [lima, veldwerk, boreal]:
        go_away(member, timezone.localdate() + timedelta(days=1))
    ticket = file(hal)
    come_back(veldwerk)
    actions.sweep(timezone.now())
    assert offer_of(ticket).member == veldwerk


def test_waiting_is_news_once_however_often_the_sweep_looks(hal, lima, veldwerk, boreal):
    for member in [lima, veldwerk, boreal]:
        go_away(member, timezone.localdate() + timedelta(days=1))
    ticket = file(hal)
    for _ in range(3):
        actions.sweep(timezone.now())
    assert ticket.events.filter(kind=Event.Kind.WAITING).count() == 1


def test_whoever_comes_back_goes_to_the_end(hal, lima):
    go_away(lima, timezone.localdate() + timedelta(days=1))
    come_back(lima)
    assert Seat.objects.in_turn_order().last().member == lima


def test_nobody_is_asked_between_their_return_and_taking_their_place(hal, lima, veldwerk):
    go_away(lima, timezone.localdate() + timedelta(days=1))
    with time_machine.travel(timezone.now() + timedelta(days=2), tick=False):
        assert offer_of(file(hal)).member == veldwerk


def test_half_the_time_gone_opens_the_call_and_gives_the_turn_back(hal, lima):
    turn = Seat.objects.get(member=lima).turn
    ticket = file(hal, severity=1)
    with time_machine.travel(ticket.open_call_by, tick=False):
        actions.sweep(timezone.now() - timedelta(hours=9))  # the clock asks only for the open call
        actions.sweep(timezone.now())
    ticket.refresh_from_db()
    assert ticket.is_open_call
    assert turn > 0


def test_a_withdrawn_offer_gives_its_turn_back(hal, gita, lima):
    turn = Seat.objects.get(member=lima).turn
    ticket = file(hal)
    actions.withdraw(ticket, hal.user)
    assert Seat.objects.get(member=lima).turn == turn


def test_a_turn_that_has_moved_since_is_not_given_back(hal, iris, ana, bo, denis, lima):
    first = file(hal)
    for representative in [bo, denis]:
        handout.accept(offer_of(file(hal)), representative)
    file(iris)  # Ana's seat moves again
    turn = Seat.objects.get(member=lima).turn
    actions.withdraw(first, hal.user)
    assert Seat.objects.get(member=lima).turn == turn


def test_giving_back_asks_the_next_member_and_is_no_refusal(hal, ana, veldwerk):
    ticket = handout.accept(offer_of(file(hal)), ana)
    handout.give_back(ticket, ana.user)
    assert offer_of(ticket).member == veldwerk
    assert ticket.events.filter(kind=Event.Kind.GIVEN_BACK, actor=ana.user).exists()
    assert not ticket.offers.filter(outcome=Offer.Outcome.REFUSED).exists()


def test_a_hand_over_leaves_the_assignee_responsible_until_it_is_accepted(hal, ana, bo, veldwerk):
    ticket = handout.accept(offer_of(file(hal)), ana)
    offer = handout.hand_over(ticket, ana.user, veldwerk)
    ticket.refresh_from_db()
    assert ticket.assignee == ana
    assert handout.accept(offer, bo).assignee == bo


def test_a_refused_hand_over_changes_nothing(hal, ana, bo, veldwerk):
    ticket = handout.accept(offer_of(file(hal)), ana)
    handout.refuse(handout.hand_over(ticket, ana.user, veldwerk), bo)
    ticket.refresh_from_db()
    assert (ticket.assignee, ticket.offers.open().count()) == (ana, 0)


def test_a_new_leave_is_not_ended_for_one_that_is_over(lima):
    go_away(lima, timezone.localdate() + timedelta(days=1))
    stale = Member.objects.get(pk=lima.pk)
    over = timezone.now() + timedelta(days=3)
    go_away(lima, timezone.localdate() + timedelta(days=9))
    welcome_back(stale, over)
    lima.refresh_from_db()
    assert lima.away_until is not None


def test_each_time_the_call_opens_the_coordinator_is_told(hal, ana, bo, denis):
    ticket = file(hal)
    for representative in [ana, bo, denis]:
        handout.refuse(offer_of(ticket), representative)
    handout.give_back(handout.claim(ticket, ana), ana.user)
    assert Outbox.objects.filter(key__startswith="call_opened:").count() == 2


def leave(member, status=Member.Status.LEFT):
    Member.objects.filter(pk=member.pk).update(status=status)


@pytest.mark.parametrize("status", [Member.Status.PAUSED, Member.Status.LEFT])
def test_an_offer_to_whoever_is_no_longer_active_is_passed_on(hal, ana, lima, veldwerk, status):
    ticket = file(hal)
    offer = offer_of(ticket)
    leave(lima, status)
    with pytest.raises(handout.OfferClosed):
        handout.accept(offer, ana)
    actions.sweep(timezone.now())
    assert offer_of(ticket).member == veldwerk


def test_the_work_of_a_member_who_leaves_goes_to_the_next(hal, ana, lima, veldwerk):
    ticket = handout.accept(offer_of(file(hal)), ana)
    leave(lima)
    actions.sweep(timezone.now())
    assert offer_of(ticket).member == veldwerk


def test_a_coordinator_gives_back_for_an_assignee_who_cannot(hal, ana, bo, chloe, veldwerk):
    ticket = handout.accept(offer_of(file(hal)), ana)
    with pytest.raises(handout.NotYours):
        handout.give_back(ticket, bo.user)
    handout.give_back(ticket, chloe.user)
    assert offer_of(ticket).member == veldwerk


def test_a_hand_over_can_be_taken_back_and_the_client_hears_nothing_of_it(hal, ana, veldwerk):
    ticket = handout.accept(offer_of(file(hal)), ana)
    handout.hand_over(ticket, ana.user, veldwerk)
    handout.withdraw_hand_over(ticket, ana.user)
    assert not ticket.offers.open().exists()
    assert not Event.objects.visible_to(hal.user).filter(kind__startswith="hand_over").exists()


def test_giving_back_unanswered_does_not_put_the_open_call_off(hal, ana):
    ticket = file(hal)
    handout.give_back(handout.accept(offer_of(ticket), ana), ana.user)
    assert Ticket.objects.get(pk=ticket.pk).open_call_by == ticket.open_call_by


def test_a_member_is_back_when_their_own_day_begins(hal, boreal):
    boreal.time_zone = "America/Vancouver"
    boreal.save()
    go_away(boreal, boreal.today + timedelta(days=1))
    boreal.refresh_from_db()
    with time_machine.travel(boreal.back_at - timedelta(minutes=1), tick=False):
        actions.sweep(timezone.now())
        assert not Member.objects.get(pk=boreal.pk).can_be_asked
    with time_machine.travel(boreal.back_at, tick=False):
        actions.sweep(timezone.now())
        assert Member.objects.get(pk=boreal.pk).can_be_asked
