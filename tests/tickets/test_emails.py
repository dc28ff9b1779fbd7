"""The mails of a ticket's life: who gets which, and what they must not say (product.md, Who sees what)."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.test import Client as Browser
from django.utils import timezone

from aegir_support.models import Outbox
from members.actions import represent, send_invitation
from members.models import Representative, User
from tests.tickets.filing import file, offer_of
from tickets import actions, handout
from tickets.models import Ticket

NOON = "2026-11-24T12:00:00Z"  # 07:00 in New York, 13:00 in Amsterdam


def mails(kind, to=None):
    """What was written under this event, to this person: subject, text and HTML as one, each to be looked into."""
    rows = Outbox.objects.filter(kind="mail", key__startswith=kind).order_by("pk")
    return [row.payload for row in (rows.filter(payload__to=[to.user.email]) if to else rows)]


def mail(kind, to=None):
    (only,) = mails(kind, to)
    return only


def everything(payload):
    return "\n".join([payload["subject"], payload["text"], payload["html"]])


def plain(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def pass_round(ticket, cast):
    """All three members refuse."""
    for representative in [cast.ana, cast.bo, cast.denis]:
        handout.refuse(offer_of(ticket), representative)


# The offer


def test_an_offer_says_nothing_of_the_clients(hal, riverbank, aegir01):
    file(hal, subject="Heron nests in the server room", description="They are loud.", server=aegir01)
    said = everything(mail("offer_made"))
    for word in ["Heron", "loud", "Riverbank", "riverbank", "Hal", "Brook", "aegir01"]:
        assert word not in said, word


def test_an_offer_says_what_a_member_must_know_to_answer(hal, ana):
    with time_machine.travel(NOON, tick=False):
        ticket = file(hal, severity=2)
    for half in [mail("offer_made", ana)["text"], plain(mail("offer_made", ana)["html"])]:
        assert f"#{ticket.number}" in half
        assert "S2 · works badly" in half
        assert "Something important does not work; sites are up." in half
        assert "Level 1 · diagnosis" in half
        assert "Standard" in half
        assert "Portal" in half
        assert "Refusing needs no reason" in half


def test_an_offer_says_until_when_in_the_representatives_own_time(hal, ana, bo):
    with time_machine.travel(NOON, tick=False):
        file(hal, severity=2)
        file(hal, severity=2)
    assert "Please answer by Tuesday 24 November, 07:30 EST." in mail("offer_made", ana)["text"]
    assert "Please answer by Tuesday 24 November, 13:30 CET." in mail("offer_made", bo)["text"]
    assert "until 13:30" in mail("offer_made", bo)["subject"]


def test_everybody_who_acts_for_the_member_gets_a_link_of_their_own(hal, ana, bo, chloe, denis):
    for _ in range(3):
        file(hal)
    links = [link_in(mail("offer_made", representative)) for representative in [chloe, denis]]
    assert len(set(links)) == 2


def link_in(payload):
    (link,) = re.findall(r"^https?://\S+$", payload["text"], re.MULTILINE)
    assert f'href="{link}"' in payload["html"]
    return link


def test_the_link_of_an_offer_leads_to_its_answer(hal, ana):
    ticket = file(hal)
    link = link_in(mail("offer_made", ana)).removeprefix(settings.SITE_URL)
    assert Browser().get(link).status_code == 200
    Browser().post(link, {"answer": "accept"})
    ticket.refresh_from_db()
    assert ticket.assignee == ana


def test_a_hand_over_says_that_nothing_changes_until_it_is_accepted(hal, ana, bo, veldwerk):
    ticket = handout.accept(offer_of(file(hal)), ana)
    handout.hand_over(ticket, ana.user, veldwerk)
    said = mail("offer_made", bo)["text"]
    assert "Until you accept, nothing changes." in said
    assert "the ticket stays where it is" in said


def test_a_reopened_ticket_says_so_to_its_last_assignee(hal, ana):
    ticket = solved(hal, ana)
    actions.confirm(ticket, hal.user)
    actions.reopen(ticket, hal.user, "It is back.")
    assert "was reopened. You are asked first." in mails("offer_made", ana)[-1]["text"]


def solved(contact, representative, verdict=Ticket.Verdict.IN_SCOPE, body="Give the files back to aegir."):
    ticket = handout.accept(offer_of(file(contact)), representative)
    actions.judge(ticket, representative.user, verdict)
    actions.solve(ticket, representative.user, body)
    return ticket


def test_an_offer_that_ran_out_says_that_nothing_is_left_to_do(hal, ana):
    with time_machine.travel(NOON, tick=False):
        file(hal, severity=2)
    with time_machine.travel("2026-11-24T12:31:00Z", tick=False):
        actions.sweep(timezone.now())
    said = mail("offer_expired", ana)["text"]
    assert "until Tuesday 24 November, 07:30 EST. It has passed on" in said
    assert "say that you are away" in said


def test_an_expired_offer_says_nothing_of_the_clients_either(hal, ana):
    file(hal, subject="Heron nests in the server room")
    with time_machine.travel(timezone.now() + timedelta(hours=2, minutes=1), tick=False):
        actions.sweep(timezone.now())
    assert "Heron" not in everything(mail("offer_expired", ana))


# The coordinator


def test_the_coordinator_hears_of_a_ticket_nobody_took(hal, cast, chloe):
    with time_machine.travel(NOON, tick=False):
        ticket = file(hal)
        pass_round(ticket, cast)
    said = mail("call_opened", chloe)
    assert said["subject"] == f"Nobody has taken #{ticket.number} yet (S3 · hindered)"
    assert "you are responsible" in said["text"]
    assert "First response is due: Tuesday 24 November, 17:00 EST" in said["text"]


# The client


def test_filing_is_confirmed_with_what_was_promised_in_the_clients_time(hal):
    with time_machine.travel(NOON, tick=False):
        ticket = file(hal, severity=1)
    said = mail("filed", hal)
    assert said["subject"] == f"#{ticket.number} is filed: Verify task fails after the upgrade"
    assert "First response at the latest: Tuesday 24 November, 13:00 EST" in said["text"]
    assert "Ægir Support is responsible for it" in said["text"]
    assert link_in(said).endswith(f"/tickets/{ticket.number}/")


def test_a_client_never_reads_who_was_asked(hal, cast, bo):
    ticket = file(hal)
    pass_round(ticket, cast)
    handout.claim(ticket, bo)
    actions.reply(ticket, bo.user, "I have it.")
    for payload in mails("filed", hal) + mails("reply", hal):
        for name in ["Ana", "Lima", "Denis", "Boréal", "Chloé"]:
            assert name not in everything(payload), name


def test_a_reply_comes_with_its_words_as_they_were_laid_out(hal, ana):
    ticket = handout.accept(offer_of(file(hal)), ana)
    actions.reply(ticket, ana.user, "Please run:\n\n```\nls -l\nwhoami\n```\n\nand tell me.")
    said = mail("reply", hal)
    assert "```\nls -l\nwhoami\n```" in said["text"]
    assert "<pre><code>ls -l\nwhoami\n</code></pre>" in said["html"]
    assert said["subject"].startswith(f"Ana Lima wrote on #{ticket.number}")


def test_what_the_client_writes_goes_to_the_assignee(hal, ana):
    ticket = handout.accept(offer_of(file(hal)), ana)
    actions.reply(ticket, hal.user, "Any news?")
    assert "Any news?" in mail("reply", ana)["text"]


def test_nobody_is_mailed_their_own_words_or_a_note(hal, ana):
    ticket = handout.accept(offer_of(file(hal)), ana)
    actions.note(ticket, ana.user, "Third time this month.")
    actions.reply(ticket, ana.user, "I have it.")
    assert mails("reply", ana) == []
    assert all("Third time" not in everything(payload) for payload in mails(""))


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (Ticket.Verdict.IN_SCOPE, "It counts as one ticket of your allowance."),
        (Ticket.Verdict.DEFECT, "It does not count: nothing is taken from your allowance."),
        (Ticket.Verdict.OUT_OF_SCOPE, "It does not count: nothing is taken from your allowance."),
    ],
)
def test_a_solution_says_whether_it_counts_and_asks_for_an_answer(hal, ana, verdict, sentence):
    ticket = solved(hal, ana, verdict)
    said = mail("solved", hal)
    assert said["subject"].startswith(f"Is #{ticket.number} solved?")
    for half in [said["text"], plain(said["html"])]:
        assert sentence in half
        assert "Give the files back to aegir." in half
        assert "closes in two weeks" in half


# The invitation


def test_an_invitation_says_how_to_begin(cleo):
    send_invitation(cleo)
    said = mail("invitation")
    assert said["subject"] == "You are invited to Ægir Support"
    assert "cleo@nowhere.example" in said["text"]
    assert "works once" in said["text"]
    assert Browser().get(link_in(said).removeprefix(settings.SITE_URL), follow=True).status_code == 200


# All of them


@pytest.fixture
def every_mail(hal, cast, ana, bo, denis, veldwerk, cleo):
    """One of each, about a subject that would break what is not escaped."""
    awkward = 'Tom & Jerry\'s <b>"site"</b>'
    called = file(hal, subject=awkward)
    pass_round(called, cast)
    taken = handout.claim(called, ana)
    actions.reply(taken, ana.user, "One & two < three")
    actions.judge(taken, ana.user, Ticket.Verdict.IN_SCOPE)
    actions.solve(taken, ana.user, "One & two < three")
    file(hal, subject=awkward)
    with time_machine.travel(timezone.now() + timedelta(hours=2, minutes=1), tick=False):
        actions.sweep(timezone.now())
    send_invitation(cleo)
    written = mails("")
    assert {row.key.split(":")[0] for row in Outbox.objects.all()} == {
        *("filed", "offer_made", "offer_expired", "call_opened", "reply", "solved", "invitation")
    }
    return written


def test_a_plain_text_has_no_markup_and_a_page_has_no_raw_words(every_mail):
    for payload in every_mail:
        assert not re.search(r"&(amp|lt|gt|quot|#x?\w+);|</?(p|a|div|strong)\b", payload["text"]), payload["subject"]
        assert "<b>" not in payload["html"], payload["subject"]
    assert any('Tom & Jerry\'s <b>"site"</b>' in payload["text"] for payload in every_mail)


def test_every_mail_has_one_button_and_the_same_link_in_plain_words(every_mail):
    for payload in every_mail:
        assert payload["html"].count('class="button"') == 1, payload["subject"]
        assert link_in(payload)


def test_every_subject_is_one_line_that_says_which_ticket(every_mail):
    for payload in every_mail:
        assert "\n" not in payload["subject"]
        assert "#" in payload["subject"] or "invited" in payload["subject"]


def test_no_plain_text_has_gaps_of_empty_lines(every_mail):
    for payload in every_mail:
        assert "\n\n\n" not in payload["text"], payload["subject"]


def test_a_representative_who_joins_later_gets_the_next_offer(hal, cleo, lima):
    represent(User.objects.get(pk=cleo.pk), lima)
    file(hal)
    assert Representative.objects.filter(member=lima).count() == 2
    assert len(mails("offer_made")) == 2


@pytest.mark.parametrize(
    ("answer", "subject"),
    [(handout.accept, "Veldwerk took over #"), (handout.refuse, "stays yours")],
    ids=["accepted", "refused"],
)
def test_whoever_offered_a_hand_over_hears_the_answer(hal, ana, bo, veldwerk, answer, subject):
    ticket = handout.accept(offer_of(file(hal)), ana)
    answer(handout.hand_over(ticket, ana.user, veldwerk), bo)
    told = Outbox.objects.get(key__startswith="hand_over:").payload
    assert told["to"] == ["ana@lima.example"]
    assert subject in told["subject"]


def test_the_subject_says_what_is_wanted(hal, ana):
    ticket = handout.accept(offer_of(file(hal)), ana)
    actions.reply(ticket, ana.user, "Which platform?", wait=True)
    assert Outbox.objects.filter(payload__subject__startswith="Ana Lima needs your answer on #").exists()
