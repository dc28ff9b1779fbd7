"""Bad input, replays and strangers: a clear sentence, what was typed is kept, and nothing is changed."""

import html
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from aegir_support import text
from members.models import Member
from tests.tickets.filing import file, offer_of
from tickets import handout
from tickets.emails import offer_token
from tickets.models import Message, Offer, Ticket


def filing(**facts):
    return {
        "key": str(uuid.uuid4()),
        "subject": "Verify task fails",
        "description": "Every verify ends with an error.",
        "severity": "3",
        "channel": "portal",
        "server": "",
    } | facts


def words_of(page):
    return html.unescape(page.content.decode())


@pytest.mark.parametrize(
    ("facts", "sentence", "kept"),
    [
        ({"subject": "x" * 201}, "at most 200 characters", "x" * 201),
        ({"subject": "\ufeff"}, "This field is required", "Every verify ends with an error."),
        ({"subject": "\u200b \u2060"}, "This field is required", "Every verify ends with an error."),
        ({"subject": "\ufb2c" * 200}, "it has 600", "\ufb2c" * 200),
        ({"description": "\u202e"}, "This field is required", "Verify task fails"),
        ({"description": "\ufb2c" * 19_000}, "57000 characters, and at most 20000 fit", "\ufb2c" * 19_000),
        ({"description": "y" * 10_000_000}, "10000000 characters, and at most 20000 fit", "y" * 10_000_000),
        ({"description": ""}, "This field is required", "Verify task fails"),
        ({"severity": "9"}, "Select a valid choice", "Every verify ends with an error."),
        ({"channel": "phone"}, "Select a valid choice", "Every verify ends with an error."),
        ({"key": "no key"}, "Enter a valid UUID", "Every verify ends with an error."),
    ],
    ids=[
        *("long subject", "only a mark in the subject", "only joiners in the subject", "subject that grows"),
        *("only a mark", "words that grow", "10 MB", "empty", "severity", "channel", "key"),
    ],
)
def test_a_filing_that_cannot_be_taken(browse, hal, facts, sentence, kept):
    page = browse(hal).post("/tickets/new/", filing(**facts))
    assert page.status_code == 422
    assert sentence in words_of(page)
    assert kept in words_of(page)
    assert not Ticket.objects.exists()


def test_what_no_keyboard_types_is_left_out_of_a_filing(browse, hal):
    form = filing(subject="Verify\x00 fails\u202e\r\nagain", description="\ufeffIt\x00 ends\x0bhere")
    assert browse(hal).post("/tickets/new/", form).status_code == 302
    ticket = Ticket.objects.get()
    assert (ticket.subject, ticket.messages.get().body) == ("Verify fails again", "It ends\nhere")


@pytest.mark.parametrize("body", ["\ufeff", "\u202e\u202d", "\x00", "\ufb2c" * 19_000])
def test_a_reply_of_which_nothing_or_too_much_is_left_comes_back(browse, hal, body):
    ticket = file(hal)
    page = browse(hal).post(f"/tickets/{ticket.number}/reply/", {"key": str(uuid.uuid4()), "body": body})
    assert (page.status_code, ticket.messages.count()) == (422, 1)
    assert body in words_of(page)


def test_a_preview_of_what_grows_too_long_says_so(browse, hal):
    page = browse(hal).post("/tickets/preview/", {"body": "\ufb2c" * 19_000})
    assert (page.status_code, "too long" in words_of(page)) == (200, True)


def test_another_clients_server_is_no_choice(browse, hal, studio01):
    page = browse(hal).post("/tickets/new/", filing(server=studio01.pk))
    assert (page.status_code, Ticket.objects.count()) == (422, 0)
    assert "Every verify ends with an error." in words_of(page)
    assert studio01.hostname not in words_of(page)


def test_a_request_too_big_to_read_is_refused_before_it_is_read(browse, hal):
    page = browse(hal).post("/tickets/new/", filing(description="y" * 13_000_000))
    assert (page.status_code, Ticket.objects.count()) == (400, 0)
    assert "not" in words_of(page)


def test_the_same_filing_posted_twice_leads_to_the_first_ticket(browse, hal):
    browser, form = browse(hal), filing()
    first, second = browser.post("/tickets/new/", form), browser.post("/tickets/new/", form)
    assert first.headers["Location"] == second.headers["Location"]
    assert Ticket.objects.count() == 1


def test_the_same_reply_posted_twice_is_said_once(browse, hal):
    ticket = file(hal)
    browser, form = browse(hal), {"key": str(uuid.uuid4()), "body": "One more thing."}
    for _ in range(2):
        assert browser.post(f"/tickets/{ticket.number}/reply/", form).status_code == 302
    assert ticket.messages.count() == 2


def test_a_reply_that_is_too_long_comes_back_with_its_words(browse, hal):
    ticket = file(hal)
    body = "z" * (text.MAX_CHARS + 1)
    page = browse(hal).post(f"/tickets/{ticket.number}/reply/", {"key": str(uuid.uuid4()), "body": body})
    assert page.status_code == 422
    assert body in words_of(page)
    assert ticket.messages.count() == 1


def test_a_reply_to_a_ticket_that_has_moved_on_is_shown_to_its_writer(browse, hal, gita):
    ticket = file(hal)
    browse(hal).post(f"/tickets/{ticket.number}/withdraw/")
    page = browse(gita).post(f"/tickets/{ticket.number}/reply/", {"key": str(uuid.uuid4()), "body": "Any news?"})
    assert page.status_code == 409
    assert "Any news?" in words_of(page)
    assert Message.objects.count() == 1


def test_at_zero_the_ways_on_are_shown(browse, iris):
    for _ in range(3):
        file(iris)
    page = browse(iris).get("/tickets/new/")
    assert page.status_code == 200
    assert "/pricing/" in words_of(page)
    late = browse(iris).post("/tickets/new/", filing())
    assert late.status_code == 409
    assert "Every verify ends with an error." in words_of(late)
    assert Ticket.objects.count() == 3


def test_somebody_elses_offer_is_not_found(browse, hal, bo):
    offer = offer_of(file(hal))
    for verb in ["", "accept/", "refuse/"]:
        method = browse(bo).post if verb else browse(bo).get
        assert method(f"/offers/{offer.pk}/{verb}").status_code == 404
    offer.refresh_from_db()
    assert offer.outcome == Offer.Outcome.OPEN


class TestTheLinkInTheMail:
    @pytest.fixture
    def ticket(self, hal):
        return file(hal)

    @pytest.fixture
    def link(self, ticket, ana):
        return f"/offers/{offer_token(offer_of(ticket), ana)}/"

    def test_following_it_answers_nothing_and_shows_no_words(self, browse, link, ticket):
        page = words_of(browse().get(link))
        assert offer_of(ticket)
        assert ticket.subject not in page
        assert ticket.client.name not in page

    def test_a_post_accepts_without_a_log_in(self, browse, link, ticket, ana):
        assert browse().post(link, {"answer": "accept"}).status_code == 200
        ticket.refresh_from_db()
        assert ticket.assignee == ana

    def test_a_post_refuses_without_a_log_in(self, browse, link, ticket, veldwerk):
        assert browse().post(link, {"answer": "refuse"}).status_code == 200
        assert offer_of(ticket).member == veldwerk

    def test_it_is_used_up_by_a_post(self, browse, link, ticket, ana):
        browse().post(link, {"answer": "refuse"})
        replayed = browse().post(link, {"answer": "accept"})
        assert replayed.status_code == 409
        assert "ended" in words_of(replayed)
        assert browse().get(link).status_code == 410
        ticket.refresh_from_db()
        assert ticket.assignee is None

    def test_it_ends_with_the_offer(self, browse, link, ticket):
        with time_machine.travel(timezone.now() + timedelta(hours=3), tick=False):
            assert browse().get(link).status_code == 410
            assert browse().post(link, {"answer": "accept"}).status_code == 409
        ticket.refresh_from_db()
        assert ticket.assignee is None

    @pytest.mark.parametrize(
        "damage", [lambda link: link[:-3] + "x/", lambda link: "/offers/x/", lambda link: "/offers/1:2:3/"]
    )
    def test_a_damaged_one_opens_nothing(self, browse, link, ticket, damage):
        page = browse().post(damage(link), {"answer": "accept"})
        assert page.status_code == 404
        assert offer_of(ticket)

    def test_another_answer_is_none(self, browse, link, ticket):
        assert browse().post(link, {"answer": "perhaps"}).status_code == 422
        assert offer_of(ticket)

    @pytest.mark.parametrize(
        ("reason", "kept"),
        [("a\x00b", "ab"), ("\ufeff", ""), ("On the\x0broad", "On the road"), ("z" * 200, "z" * 200)],
    )
    def test_a_reason_is_kept_as_one_line(self, browse, link, ticket, reason, kept):
        offer = offer_of(ticket)
        assert browse().post(link, {"answer": "refuse", "reason": reason}).status_code == 200
        offer.refresh_from_db()
        assert (offer.outcome, offer.reason) == (Offer.Outcome.REFUSED, kept)

    @pytest.mark.parametrize("reason", ["z" * 201, "\ufb2c" * 67])
    def test_a_reason_that_is_too_long_comes_back(self, browse, link, ticket, reason):
        page = browse().post(link, {"answer": "refuse", "reason": reason})
        assert page.status_code == 422
        assert f'value="{reason}"' in words_of(page)
        assert "at most 200 characters" in words_of(page)
        assert offer_of(ticket)

    def test_it_binds_its_representative(self, browse, ticket, bo):
        forged = offer_token(offer_of(ticket), bo)
        assert browse().post(f"/offers/{forged}/", {"answer": "accept"}).status_code == 404
        assert offer_of(ticket)

    def test_a_representative_who_may_not_log_in_answers_nothing(self, browse, link, ticket, ana):
        ana.user.is_active = False
        ana.user.save()
        assert browse().post(link, {"answer": "accept"}).status_code == 404
        assert offer_of(ticket)


def test_the_loser_of_a_claim_gets_a_sentence(browse, hal, ana, bo, denis):
    ticket = file(hal)
    for representative in [ana, bo, denis]:
        handout.refuse(offer_of(ticket), representative)
    first, second = (browse(who).post(f"/tickets/{ticket.number}/claim/") for who in [ana, bo])
    assert (first.status_code, second.status_code) == (302, 409)
    assert "Somebody else has taken this ticket" in words_of(second)


@pytest.mark.parametrize("had_it_before", [True, False])
def test_a_paused_member_claims_nothing_and_reads_why(browse, hal, ana, bo, denis, had_it_before):
    ticket = file(hal)
    if had_it_before:
        handout.accept(offer_of(ticket), ana)
        handout.give_back(ticket, ana.user)
    else:
        handout.refuse(offer_of(ticket), ana)
    for representative in [bo, denis]:
        handout.refuse(offer_of(ticket), representative)
    Member.objects.filter(pk=ana.member_id).update(status=Member.Status.PAUSED)
    page = browse(ana).post(f"/tickets/{ticket.number}/claim/")
    assert page.status_code == 403
    assert "Your seat is paused" in words_of(page)
    ticket.refresh_from_db()
    assert ticket.is_open_call


def test_a_page_that_makes_no_sense_begins_at_the_top(browse, hal):
    file(hal)
    for query in ["?before=x", "?before=2026-13-01~9", "?before=2026-01-01T00:00~1", "?show=x", "?before=%00"]:
        assert browse(hal).get(f"/tickets/{query}").status_code == 200
