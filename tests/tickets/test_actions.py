import uuid
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from aegir_support import text
from aegir_support.models import Outbox
from billing import entitlements
from billing.models import Charge, Contact
from members.actions import go_away
from tests.tickets.filing import file, offer_of
from tickets import actions, handout
from tickets.models import Event, Message, Ticket
from tickets.steps import NotNow, NotYours

TWO_WEEKS = timedelta(days=14, minutes=1)


@pytest.fixture
def ticket(hal, ana):
    """Hal's ticket, accepted by Ana."""
    return handout.accept(offer_of(file(hal)), ana)


def charge_of(ticket):
    return Charge.objects.get(key=ticket.charge_key)


def test_filing_holds_one_of_the_allowance(hal, riverbank):
    left = entitlements.entitlement(riverbank).left
    ticket = file(hal)
    assert charge_of(ticket).state == Charge.State.HELD
    assert entitlements.entitlement(riverbank).left == left - 1


def test_numbers_have_four_digits(hal):
    assert file(hal).number > 1000


def test_the_first_response_is_promised_in_the_clients_business_hours(hal, riverbank):
    monday = timezone.datetime(2026, 11, 23, 15, 0, tzinfo=riverbank.calendar.hours.time_zone)
    with time_machine.travel(monday, tick=False):
        ticket = file(hal, severity=2)  # Standard promises one business day
    assert ticket.first_response_by == monday + timedelta(days=1)


def test_the_same_filing_again_returns_the_first_ticket(hal):
    key = uuid.uuid4()
    assert file(hal, key=key) == file(hal, key=key)
    assert Ticket.objects.count() == 1


def test_a_form_changed_after_it_has_filed_files_no_second_ticket_and_says_so(hal):
    key = uuid.uuid4()
    first = file(hal, key=key)
    with pytest.raises(actions.FiledOtherwise) as told:
        file(hal, key=key, description="Also the log.")
    assert told.value.ticket == first
    assert Ticket.objects.count() == 1


def test_a_form_changed_after_it_has_replied_says_both(hal):
    key = uuid.uuid4()
    ticket = file(hal)
    for words in ["See there.", "See there.", "See there, and the log."]:
        actions.reply(ticket, hal.user, words, key)
    assert [each.body for each in ticket.messages.all()][1:] == ["See there.", "See there, and the log."]


def test_a_key_of_somebody_else_opens_nothing(hal, iris):
    key = uuid.uuid4()
    file(hal, key=key)
    with pytest.raises(NotYours):
        file(iris, key=key)
    assert Ticket.objects.count() == 1


def test_another_clients_server_is_refused_and_nothing_is_filed(hal, studio01):
    with pytest.raises(NotYours):
        file(hal, server=studio01)
    assert not Ticket.objects.exists()


def test_a_watcher_reads_and_does_not_file(hal):
    Contact.objects.filter(pk=hal.pk).update(role=Contact.Role.WATCHER)
    hal.refresh_from_db()
    with pytest.raises(NotYours):
        file(hal)


def test_a_channel_the_tier_does_not_have_is_refused(hal):
    with pytest.raises(entitlements.ChannelNotIncluded):
        file(hal, channel="phone")
    assert not Ticket.objects.exists()


def test_a_description_that_is_too_long_files_nothing(hal):
    with pytest.raises(text.TooLong):
        file(hal, description="x" * (text.MAX_CHARS + 1))
    assert not Ticket.objects.exists()


def test_a_key_of_ones_own_reply_files_all_the_same(hal):
    key = uuid.uuid4()
    actions.reply(file(hal), hal.user, "One more thing.", key)
    assert file(hal, key=key)


def test_a_key_of_somebody_elses_words_says_nothing(hal, ana):
    key = uuid.uuid4()
    ticket = handout.accept(offer_of(file(hal)), ana)
    actions.reply(ticket, hal.user, "One more thing.", key)
    with pytest.raises(NotYours):
        actions.reply(ticket, ana.user, "One more thing.", key)
    assert actions.reply(ticket, ana.user, "Mine", key).author == ana.user


def test_the_last_ticket_of_an_allowance_is_the_last(iris):
    for _ in range(3):
        file(iris)
    with pytest.raises(entitlements.NothingLeft):
        file(iris)
    assert Ticket.objects.count() == 3


def test_the_first_reply_of_the_assignee_is_the_first_response(ticket, ana):
    actions.reply(ticket, ana.user, "May I look at the server?")
    ticket.refresh_from_db()
    assert ticket.first_response_at is not None
    assert ticket.events.filter(kind=Event.Kind.FIRST_RESPONSE).count() == 1


def test_a_reply_may_wait_for_the_client_and_the_clients_answer_resumes(ticket, ana, hal):
    actions.reply(ticket, ana.user, "Which platform?", wait=True)
    ticket.refresh_from_db()
    assert ticket.status == Ticket.Status.WITH_CLIENT
    actions.reply(ticket, hal.user, "hm-drupal10")
    ticket.refresh_from_db()
    assert ticket.status == Ticket.Status.WORKING


def test_only_the_assignees_member_and_the_client_reply(ticket, bo, iris, cleo):
    for user in [bo.user, iris.user, cleo]:
        with pytest.raises(NotYours):
            actions.reply(ticket, user, "Hello")
    assert ticket.messages.count() == 1


def test_a_note_is_never_read_by_the_client(ticket, ana, hal):
    actions.note(ticket, ana.user, "Looks like the umask again.")
    assert Message.objects.visible_to(hal.user).count() == 1
    assert Message.objects.visible_to(ana.user).count() == 2


def test_a_client_writes_no_notes(ticket, hal):
    with pytest.raises(NotYours):
        actions.note(ticket, hal.user, "Psst")


def test_the_same_reply_posted_twice_is_said_once(ticket, ana):
    key = uuid.uuid4()
    assert actions.reply(ticket, ana.user, "Hello", key) == actions.reply(ticket, ana.user, "Hello", key)
    assert ticket.messages.count() == 2


@pytest.mark.parametrize("verdict", ["out", "defect", "wish", "question", "duplicate"])
def test_a_verdict_other_than_in_scope_releases(ticket, ana, verdict):
    actions.judge(ticket, ana.user, verdict)
    assert (charge_of(ticket).state, charge_of(ticket).reason) == (Charge.State.RELEASED, verdict)


def test_in_scope_charges(ticket, ana):
    actions.judge(ticket, ana.user, "in")
    assert charge_of(ticket).state == Charge.State.CHARGED


def test_a_verdict_may_change_until_the_ticket_is_closed(ticket, ana, hal):
    for verdict in ["out", "in", "defect", "in"]:
        actions.judge(ticket, ana.user, verdict)
    assert charge_of(ticket).state == Charge.State.CHARGED
    actions.solve(ticket, ana.user, "Done.")
    actions.confirm(ticket, hal.user)
    with pytest.raises(NotNow):
        actions.judge(ticket, ana.user, "out")


def test_a_released_ticket_cannot_count_again_when_nothing_is_left(iris, ana):
    ticket = handout.accept(offer_of(file(iris)), ana)
    actions.judge(ticket, ana.user, "out")
    for _ in range(3):
        file(iris)
    with pytest.raises(entitlements.NothingLeft):
        actions.judge(ticket, ana.user, "in")
    ticket.refresh_from_db()
    assert (ticket.verdict, charge_of(ticket).state) == ("out", Charge.State.RELEASED)


def test_only_the_assignee_judges(ticket, bo, hal, chloe):
    for user in [bo.user, hal.user, chloe.user]:
        with pytest.raises(NotYours):
            actions.judge(ticket, user, "in")


def test_a_ticket_is_solved_only_with_a_verdict(ticket, ana):
    with pytest.raises(actions.VerdictMissing):
        actions.solve(ticket, ana.user, "Done.")
    actions.judge(ticket, ana.user, "in")
    actions.solve(ticket, ana.user, "Done.")
    ticket.refresh_from_db()
    assert ticket.status == Ticket.Status.SOLVED


@pytest.fixture
def solved(ticket, ana):
    actions.judge(ticket, ana.user, "in")
    actions.solve(ticket, ana.user, "The group write bit is back.")
    ticket.refresh_from_db()
    return ticket


def test_the_client_confirms(solved, hal):
    actions.confirm(solved, hal.user)
    solved.refresh_from_db()
    assert solved.status == Ticket.Status.CLOSED


def test_a_stranger_does_not_confirm(solved, iris):
    with pytest.raises(NotYours):
        actions.confirm(solved, iris.user)


def test_a_solved_ticket_is_reopened_with_its_assignee_and_the_same_charge(solved, hal, ana):
    actions.reopen(solved, hal.user, "It broke again.")
    solved.refresh_from_db()
    assert (solved.status, solved.assignee) == (Ticket.Status.WORKING, ana)
    assert Charge.objects.count() == 1


def test_an_unanswered_solution_closes_after_two_weeks(solved):
    with time_machine.travel(timezone.now() + TWO_WEEKS):
        actions.sweep(timezone.now())
    solved.refresh_from_db()
    assert solved.status == Ticket.Status.CLOSED


def test_a_closed_ticket_reopened_in_time_asks_its_last_assignee_once(solved, hal, ana, lima, veldwerk):
    actions.confirm(solved, hal.user)
    actions.reopen(solved, hal.user, "It broke again.")
    offer = offer_of(solved)
    assert (offer.member, offer.kind) == (lima, "reopened")
    handout.refuse(offer, ana)
    assert offer_of(solved).member == veldwerk


def test_a_ticket_closed_for_two_weeks_stays_closed(solved, hal):
    actions.confirm(solved, hal.user)
    with time_machine.travel(timezone.now() + TWO_WEEKS), pytest.raises(NotNow):
        actions.reopen(solved, hal.user, "It broke again.")


def test_withdrawing_gives_the_ticket_back(hal, riverbank):
    left = entitlements.entitlement(riverbank).left
    ticket = file(hal)
    actions.withdraw(ticket, hal.user)
    ticket.refresh_from_db()
    assert (ticket.status, ticket.verdict) == (Ticket.Status.CLOSED, Ticket.Verdict.WITHDRAWN)
    assert entitlements.entitlement(riverbank).left == left


def test_a_ticket_that_was_taken_is_not_withdrawn(ticket, hal):
    with pytest.raises(NotNow):
        actions.withdraw(ticket, hal.user)


def test_every_step_is_in_the_log(solved, hal):
    actions.confirm(solved, hal.user)
    told = list(solved.events.values_list("kind", flat=True))
    assert told == ["filed", "offered", "accepted", "judged", "first_response", "solved", "confirmed"]


def test_a_ticket_that_was_ever_taken_is_not_withdrawn(solved, hal, ana):
    actions.confirm(solved, hal.user)
    actions.reopen(solved, hal.user, "It broke again.")
    with pytest.raises(NotNow):
        actions.withdraw(solved, hal.user)
    assert charge_of(solved).state == Charge.State.CHARGED


def test_a_reply_that_asks_nothing_takes_the_ball_back(ticket, ana):
    actions.reply(ticket, ana.user, "Which platform?", wait=True)
    actions.reply(ticket, ana.user, "Never mind, found it.")
    ticket.refresh_from_db()
    assert ticket.status == Ticket.Status.WORKING


def test_a_note_is_no_news_to_the_client(ticket, ana):
    before = Ticket.objects.get(pk=ticket.pk).news_at
    actions.note(ticket, ana.user, "Looks like the umask again.")
    assert Ticket.objects.get(pk=ticket.pk).news_at == before


def test_a_reopened_ticket_is_not_put_on_somebody_who_is_away(solved, hal, lima, veldwerk):
    go_away(lima, timezone.localdate() + timedelta(days=9))
    actions.reopen(solved, hal.user, "It broke again.")
    assert offer_of(solved).member == veldwerk


def test_mail_goes_to_the_clients_people_as_they_are_now(ticket, hal, gita, ana):
    actions.reply(ticket, gita.user, "I am here too.")
    Contact.objects.filter(pk=hal.pk).delete()
    message = actions.reply(ticket, ana.user, "Hello both.")
    told = Outbox.objects.filter(key__startswith=f"reply:{message.pk}:")
    assert [row.payload["to"] for row in told] == [["gita@riverbank.example"]]


def test_only_the_client_withdraws(hal, ana, chloe):
    ticket = file(hal)
    for user in [ana.user, chloe.user]:
        with pytest.raises(NotYours):
            actions.withdraw(ticket, user)
    assert offer_of(ticket)
