"""Locks are taken in one order, so that nobody waits in a circle; and whoever waits too long is told so."""

import inspect
import re
import threading
import time
from contextlib import nullcontext
from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from aegir_support.invariants import broken
from members.actions import come_back, go_away, join_at_the_end
from members.models import Member, Queue
from tests.races.acting import half_is_gone
from tests.races.together import at_once, pause_before, without_trigger
from tests.tickets.filing import file, offer_of
from tickets import actions, handout
from tickets.models import Offer, Ticket

# Each waits only for what stands to its right. A charge locks its grant, through the trigger that counts.
ORDER = {"tickets_ticket": 0, "billing_grant": 1, "billing_charge": 1, "members_queue": 2, "members_seat": 3}
LOCKING = re.compile(r'^(?:SELECT .* FROM|UPDATE|INSERT INTO) "(\w+)"', re.DOTALL)
# Steps inside the verbs, and the sweep, which is many transactions.
NOT_AN_ACTION = {"offer_to_next_member", "ask_last_assignee_first", "withdraw_open_offer", "sweep"}


class Watched:
    """Notes which tables an action locks, in order."""

    def __init__(self):
        self.tried = set()

    def __call__(self, verb, *words, **facts):
        locked = []

        def note(execute, sql, parameters, many, context):
            table = LOCKING.match(sql)
            if table and table[1] in ORDER and (not sql.startswith("SELECT") or "FOR UPDATE" in sql):
                locked.append(ORDER[table[1]])
            return execute(sql, parameters, many, context)

        with connection.execute_wrapper(note):
            done = verb(*words, **facts)
        first = list(dict.fromkeys(locked))
        assert first == sorted(first), f"{verb.__name__} locks {first}"
        self.tried.add(verb.__name__)
        return done


def verbs(module):
    here = [each for each in vars(module).values() if inspect.isfunction(each) and each.__module__ == module.__name__]
    return {each.__name__ for each in here if not each.__name__.startswith("_")} - NOT_AN_ACTION


@pytest.mark.django_db
def test_every_action_takes_its_locks_in_one_order(hal, ana, bo, denis, lima, veldwerk, boreal):
    act = Watched()
    ticket = act(actions.file_ticket, hal, actions.Filing("Verify fails", "It ends with an error."))
    act(handout.refuse, offer_of(ticket), ana)
    act(handout.accept, offer_of(ticket), bo)
    act(handout.refuse, act(handout.hand_over, ticket, bo.user, boreal), denis)
    act(handout.hand_over, ticket, bo.user, boreal)
    act(handout.withdraw_hand_over, ticket, bo.user)
    act(handout.accept, act(handout.hand_over, ticket, bo.user, boreal), denis)
    act(actions.note, ticket, denis.user, "Odd.")
    act(actions.reply, ticket, denis.user, "Which version?", wait=True)
    act(actions.reply, ticket, hal.user, "The last one.")
    for verdict in ["out", "in", "defect", "in"]:
        act(actions.judge, ticket, denis.user, verdict)
    act(actions.solve, ticket, denis.user, "A wrong path.")
    act(actions.reopen, ticket, hal.user, "Again.")
    act(handout.give_back, ticket, denis.user)
    half_is_gone(ticket)
    act(handout.open_call, ticket)
    act(handout.claim, ticket, ana)
    act(actions.solve, ticket, ana.user, "Another wrong path.")
    act(actions.confirm, ticket, hal.user)
    act(actions.reopen, ticket, hal.user, "And again.")
    with time_machine.travel(timezone.now() + timedelta(hours=3), tick=False):
        act(handout.expire, offer_of(ticket))
    act(actions.withdraw, file(hal), hal.user)
    for member in [lima, veldwerk, boreal]:
        act(go_away, member, timezone.localdate() + timedelta(days=1))
    waiting = file(hal)
    act(come_back, lima)
    act(join_at_the_end, veldwerk)
    act(handout.offer_again, waiting)
    solved = handout.accept(offer_of(waiting), ana)
    actions.judge(solved, ana.user, "wish")
    actions.solve(solved, ana.user, "It is in the plan.")
    with time_machine.travel(timezone.now() + timedelta(days=15), tick=False):
        assert act(actions.close_unanswered, solved)
    act(come_back, boreal)
    act(come_back, veldwerk)
    offered = file(hal)
    offer = offer_of(offered)
    Member.objects.filter(pk=offer.member_id).update(status=Member.Status.PAUSED)
    assert act(handout.pass_on, offer)
    taken = handout.accept(offer_of(offered), offer_of(offered).member.representatives.first())
    Member.objects.filter(pk=taken.assignee.member_id).update(status=Member.Status.LEFT)
    assert act(handout.take_from_who_left, taken)
    assert verbs(handout) | verbs(actions) <= act.tried


@pytest.mark.django_db
def test_an_action_that_locks_backwards_is_found(hal):
    ticket = file(hal)

    def backwards():
        Queue.objects.select_for_update().get(name=Queue.SUPPORT)
        Ticket.objects.locked(ticket.number)

    with pytest.raises(AssertionError, match="backwards locks"):
        Watched()(backwards)


@pytest.mark.django_db(transaction=True)
def test_whoever_waits_too_long_for_a_lock_may_try_again_and_nothing_is_changed(hal, ana, browse):
    offer = offer_of(file(hal))
    browser = browse(ana)
    browser.raise_request_exception = False
    held, over = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                Ticket.objects.locked(offer.ticket_id)
                held.set()
                over.wait(20)
        finally:
            connection.close()

    def accept():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")  # in production three seconds
        try:
            return browser.post(f"/offers/{offer.pk}/accept/")
        finally:
            connection.ensure_connection()
            connection.cursor().execute("RESET lock_timeout")

    holding = threading.Thread(target=hold)
    holding.start()
    try:
        assert held.wait(20)
        response = accept()
    finally:
        over.set()
        holding.join()
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert Offer.objects.open().get() == offer
    assert browser.post(f"/offers/{offer.pk}/accept/").status_code == 302


# The last wall: the trigger that looks when a transaction ends. It sees what others have committed by then, so it could
# miss what two change side by side. Every action meets the others at the ticket's row. The two below forget to, and
# meet at the offer's row instead, since a status and an offer only change together: the second looks after the first.


def take(offer, representative):
    def without_lock():
        with transaction.atomic():
            Ticket.objects.filter(pk=offer.ticket_id).update(status="working", assignee=representative)
            Offer.objects.filter(pk=offer.pk).update(
                outcome="accepted", answered_by=representative, answered_at=timezone.now()
            )

    return without_lock


def pass_on(offer, member):
    def without_lock():
        with transaction.atomic():
            now = timezone.now()
            Offer.objects.filter(pk=offer.pk).update(outcome="expired", answered_at=now)
            time.sleep(0.2)
            Offer.objects.create(ticket=offer.ticket, member=member, kind="reopened", offered_at=now, answer_by=now)

    return without_lock


@pytest.mark.parametrize("trigger", [True, False], ids=["guarded", "without the trigger"])
@pytest.mark.django_db(transaction=True)
def test_a_ticket_taken_and_passed_on_by_two_who_forget_the_lock_is_refused_by_the_database(
    hal, ana, veldwerk, trigger
):
    offer = offer_of(file(hal))
    name = "ticket_on_offer_has_an_open_offer"
    disabled = nullcontext() if trigger else without_trigger("tickets_offer", name)
    disabled_too = nullcontext() if trigger else without_trigger("tickets_ticket", name)
    with disabled, disabled_too, pause_before("UPDATE OF outcome", "tickets_offer", 0.2):
        results = at_once(take(offer, ana), pass_on(offer, veldwerk))
    torn = [sentence for sentence in broken() if sentence.startswith("A ticket on offer has an open offer")]
    assert (torn == []) is trigger
    assert any(isinstance(result, IntegrityError) for result in results) is trigger
