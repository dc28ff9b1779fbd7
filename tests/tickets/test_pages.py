"""The pages of tickets and the queue: each drawn for its reader, at the same cost for one row and for three."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing.actions import start_subscription
from billing.models import Charge, Contact, Grant
from members.actions import go_away
from members.models import Member
from tests.tickets.filing import file, offer_of
from tickets import actions, emails, handout
from tickets.models import Message, Ticket

SECRET = "Only we may know about the umask"


def words(answer):
    """What a reader sees of a page, without tags and with single blanks."""
    html = re.sub(r"<(script|style|title|svg).*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def heading(answer):
    return words_of(re.search(r"<h1>(.*?)</h1>", answer.content.decode(), re.DOTALL)[1])


def words_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def queries(browser, address):
    browser.get(address)  # what a first request alone looks up, such as the session's user
    with CaptureQueriesContext(connection) as taken:
        assert browser.get(address).status_code == 200
    return len(taken)


def page_of(ticket):
    return reverse("tickets:ticket", args=[ticket.number])


def answer_page(offer, representative):
    return reverse("tickets:answer_offer", args=[emails.offer_token(offer, representative)])


@pytest.fixture
def working(hal, ana):
    """A ticket of Riverbank that is Ana's work."""
    return handout.accept(offer_of(file(hal)), ana)


@pytest.fixture
def on_call(hal, ana, bo, denis):
    """A ticket everybody has refused."""
    ticket = file(hal, subject="Sites answer 502")
    for _ in range(3):
        offer = offer_of(ticket)
        handout.refuse(offer, next(each for each in [ana, bo, denis] if each.member == offer.member))
    return ticket


# The list


def test_a_client_reads_how_many_tickets_are_open(browse, hal):
    file(hal)
    file(hal)
    assert heading(browse(hal).get("/tickets/")) == "2 tickets are open"


def test_an_empty_list_offers_the_first_step(browse, hal):
    answer = browse(hal).get("/tickets/")
    assert heading(answer) == "No ticket is open"
    assert 'href="/tickets/new/"' in answer.content.decode()


def test_a_watcher_is_not_offered_to_file(browse, gita):
    Contact.objects.filter(pk=gita.pk).update(role=Contact.Role.WATCHER)
    assert 'href="/tickets/new/"' not in browse(gita).get("/tickets/").content.decode()


def test_the_list_names_the_client_to_members_only(browse, hal, ana, working):
    assert "Riverbank Library" in words(browse(ana).get("/tickets/"))
    assert "Client" not in words(browse(hal).get("/tickets/"))


def test_a_state_reads_from_the_readers_side(browse, hal, ana, working):
    actions.reply(working, ana.user, "May I look?", wait=True)
    assert "Waiting for you" in words(browse(hal).get("/tickets/"))
    assert "Waiting for the client" in words(browse(ana).get("/tickets/"))


@pytest.mark.parametrize("shown", ["open", "unassigned", "settled", "all", "nonsense"])
def test_each_filter_is_a_page(browse, hal, shown):
    assert browse(hal).get("/tickets/", {"show": shown}).status_code == 200


# Filing


def test_the_form_begins_with_what_is_left(browse, hal, riverbank):
    ends_on = Grant.objects.get(client=riverbank).ends_on
    file(hal)
    assert heading(browse(hal).get("/tickets/new/")) == f"39 of 40 tickets left until {ends_on:%-d %B %Y}"


def test_each_severity_says_what_it_means_and_what_is_promised(browse, hal):
    page = words(browse(hal).get("/tickets/new/"))
    assert "there is no way around it. First response within 4 business hours." in page
    assert "A question, or something small. First response within 2 business days." in page


def test_a_form_with_a_gap_comes_back_with_the_words(browse, hal):
    answer = browse(hal).post("/tickets/new/", {"description": "Everything hangs", "severity": 3})
    assert answer.status_code == 422
    assert "Everything hangs" in answer.content.decode()
    assert 'name="not-taken"' in answer.content.decode()


def test_a_tier_with_one_channel_asks_for_none(browse, iris):
    page = browse(iris).get("/tickets/new/").content.decode()
    assert '<input type="hidden" name="channel" value="portal">' in page


def test_a_ticket_is_filed_from_the_form_as_it_is_shown(browse, hal):
    page = browse(hal).get("/tickets/new/").content.decode()
    key = re.search(r'name="key" value="([^"]+)"', page)[1]
    said = {"key": key, "subject": "Hangs", "description": "It hangs", "severity": 3, "channel": "portal", "server": ""}
    answer = browse(hal).post("/tickets/new/", said)
    assert answer.url == page_of(Ticket.objects.get())


def test_at_zero_every_way_on_is_offered(browse, hal, gita, riverbank):
    Grant.objects.filter(client=riverbank).update(used=40)
    answer = browse(hal).get("/tickets/new/")
    assert heading(answer) == "All 40 tickets are used"
    for way in ["Buy a pack", "Take a larger tier", "Ask the forum", "Wait for the next term", gita.user.email]:
        assert way in words(answer)
    assert f'href="{settings.FORUM_URL}"' in answer.content.decode()


def test_a_project_without_a_forum_sends_nobody_there(browse, hal, riverbank, settings):
    settings.FORUM_URL = ""
    Grant.objects.filter(client=riverbank).update(used=40)
    assert "Ask the forum" not in words(browse(hal).get("/tickets/new/"))


def test_at_zero_only_a_term_that_is_entered_is_said_to_begin(browse, hal, riverbank):
    Grant.objects.filter(client=riverbank).update(used=40)
    term = riverbank.subscriptions.get()
    page = words(browse(hal).get("/tickets/new/"))
    assert f"Your term ends on {term.ends_on:%-d %B %Y}. The next one brings new tickets, once it is bought." in page
    later = term.ends_on + timedelta(days=10)
    start_subscription(riverbank, term.tier, cpus=4, starts_on=later, ends_on=later + timedelta(days=365))
    page = words(browse(hal).get("/tickets/new/"))
    assert f"Your next term, Standard, begins on {later:%-d %B %Y}." in page
    assert "once it is bought" not in page


def test_at_zero_an_owner_reads_whom_to_write_to(browse, gita, riverbank):
    Grant.objects.filter(client=riverbank).update(used=40)
    assert "You answer for the subscription: write to us at" in words(browse(gita).get("/tickets/new/"))


def test_words_typed_when_nothing_is_left_are_kept(browse, hal, riverbank):
    page = browse(hal).get("/tickets/new/").content.decode()
    key = re.search(r'name="key" value="([^"]+)"', page)[1]
    Grant.objects.filter(client=riverbank).update(used=40)
    said = {"key": key, "subject": "Hangs", "description": "It <hangs>", "severity": 3, "channel": "portal"}
    answer = browse(hal).post("/tickets/new/", said)
    assert answer.status_code == 409
    assert "It &lt;hangs&gt;" in answer.content.decode()
    assert 'name="not-taken"' in answer.content.decode()


def test_without_a_subscription_the_page_says_so(browse, hal, riverbank):
    riverbank.grants.all().delete()
    riverbank.subscriptions.all().delete()
    assert heading(browse(hal).get("/tickets/new/")) == "No subscription is in force"


def test_a_preview_shows_markdown_as_it_will_read(browse, hal):
    answer = browse(hal).post("/tickets/preview/", {"body": "**bold** <script>"})
    assert "<strong>bold</strong> &lt;script&gt;" in answer.content.decode()


# A ticket, from the client's side


def test_a_client_never_reads_a_note(browse, hal, ana, working):
    actions.note(working, ana.user, SECRET)
    page = browse(hal).get(page_of(working)).content.decode()
    assert SECRET not in page
    assert "Note for members" not in page


def test_a_client_gets_no_form_for_notes(browse, hal, working):
    assert reverse("tickets:note", args=[working.number]) not in browse(hal).get(page_of(working)).content.decode()


def test_a_client_does_not_read_who_was_asked(browse, hal, ana, bo):
    ticket = file(hal)
    handout.refuse(offer_of(ticket), ana)
    page = words(browse(hal).get(page_of(ticket)))
    assert "Offered to the next member" in page
    assert "Passed on" in page
    assert not [name for name in ["Ana", "Bo ", "Veldwerk", "Chloé"] if name in page]


def test_before_acceptance_the_project_is_responsible(browse, hal):
    assert "Who is responsible Ægir Support" in words(browse(hal).get(page_of(file(hal))))


def test_after_acceptance_one_person_is_responsible(browse, hal, working):
    assert "Who is responsible Ana Lima for Ægir Support" in words(browse(hal).get(page_of(working)))


def test_a_kept_promise_is_said(browse, hal, ana, working):
    with time_machine.travel(timezone.now() + timedelta(minutes=26), tick=False):
        actions.reply(working, ana.user, "I am on it")
        assert "given after 26 minutes, in time" in words(browse(hal).get(page_of(working))).replace("\xa0", " ")


def test_a_late_promise_is_said(browse, hal, ana):
    ticket = file(hal)
    with time_machine.travel(ticket.first_response_by + timedelta(hours=1), tick=False):
        assert "late: it was due" in words(browse(hal).get(page_of(ticket)))


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("in", "Charged: it counts as one ticket."),
        ("out", "Released: it does not count, because it is outside what your tier covers."),
        ("defect", "Released: it does not count, because it is a defect of the product."),
        ("wish", "Released: it does not count, because it is a wish for something new."),
        ("question", "Released: it does not count, because it is a question about billing."),
        ("duplicate", "Released: it does not count, because it is a duplicate of another ticket."),
    ],
)
def test_what_a_ticket_counts_is_said_with_its_reason(browse, hal, ana, working, verdict, sentence):
    actions.judge(working, ana.user, verdict)
    assert sentence in words(browse(hal).get(page_of(working)))


def test_a_reason_we_do_not_know_is_no_error(browse, hal, working):
    Charge.objects.update(state=Charge.State.RELEASED, reason="goodwill", decided_at=timezone.now())
    assert "Released: it does not count, because that was decided." in words(browse(hal).get(page_of(working)))


def test_the_reply_names_its_reader(browse, hal, ana, working):
    assert "Send to Ana Lima" in words(browse(hal).get(page_of(working)))
    assert "Send to Riverbank Library" in words(browse(ana).get(page_of(working)))


def test_a_solved_ticket_offers_two_ways(browse, hal, ana, working):
    actions.judge(working, ana.user, "in")
    actions.solve(working, ana.user, "Put the bit back")
    page = words(browse(hal).get(page_of(working)))
    assert "Yes, it is solved" in page
    assert "No, reopen" in page


def test_a_watcher_reads_and_does_nothing(browse, gita, ana, working):
    Contact.objects.filter(pk=gita.pk).update(role=Contact.Role.WATCHER)
    actions.judge(working, ana.user, "in")
    actions.solve(working, ana.user, "Put the bit back")
    page = browse(gita).get(page_of(working)).content.decode()
    assert f'action="{page_of(working)}' not in page


def test_withdrawing_asks_first_and_ends_with_acceptance(browse, hal, ana):
    ticket = file(hal)
    assert 'data-confirm="Withdraw this ticket?"' in browse(hal).get(page_of(ticket)).content.decode()
    handout.accept(offer_of(ticket), ana)
    assert "Withdraw" not in words(browse(hal).get(page_of(ticket)))


def test_a_ticket_is_not_there_for_strangers(browse, iris, cleo, edda, working):
    for stranger in [iris, cleo, edda]:
        assert browse(stranger).get(page_of(working)).status_code == 404


# A ticket, from the members' side


def test_a_member_who_is_not_asked_does_not_see_the_ticket(browse, hal, bo):
    assert browse(bo).get(page_of(file(hal))).status_code == 404


def test_a_member_reads_who_was_asked(browse, hal, ana, bo):
    ticket = file(hal)
    handout.refuse(offer_of(ticket), ana)
    page = words(browse(bo).get(page_of(ticket))).replace("&nbsp;", " ")
    assert "Passed on · Ana Lima" in page
    assert "Offered to the next member · Veldwerk" in page


def test_the_member_on_offer_answers_on_the_ticket(browse, hal, ana):
    ticket = file(hal)
    page = browse(ana).get(page_of(ticket)).content.decode()
    assert reverse("tickets:accept_offer", args=[offer_of(ticket).pk]) in page
    assert reverse("tickets:refuse_offer", args=[offer_of(ticket).pk]) in page


def test_reply_and_note_are_two_forms_with_two_buttons(browse, ana, working):
    page = browse(ana).get(page_of(working)).content.decode()
    forms = re.findall(r'<form method="post" action="([^"]+)".*?</form>', page, re.DOTALL)
    assert {f"{page_of(working)}reply/", f"{page_of(working)}note/"} <= set(forms)
    assert "Save note for members" in page


def test_no_two_elements_of_a_page_share_an_id(browse, ana, working):
    actions.judge(working, ana.user, "in")
    ids = re.findall(r'\bid="([^"]+)"', browse(ana).get(page_of(working)).content.decode())
    assert len(ids) == len(set(ids))


def test_each_verdict_says_what_it_does(browse, ana, working):
    page = words(browse(ana).get(page_of(working)))
    assert "In scope Core or golden contrib. It uses one ticket" in page
    assert "Withdrawn" not in page


def test_solving_waits_for_the_verdict(browse, ana, working):
    solve = reverse("tickets:solve", args=[working.number])
    assert solve not in browse(ana).get(page_of(working)).content.decode()
    actions.judge(working, ana.user, "in")
    assert solve in browse(ana).get(page_of(working)).content.decode()


def test_words_of_a_solution_without_a_verdict_come_back(browse, ana, working):
    key = "6a0f1e34-8f0c-4c1c-9d5e-3a2f4b1c0d9e"
    answer = browse(ana).post(f"{page_of(working)}solve/", {"body": "Put the bit back", "key": key})
    assert answer.status_code == 422
    assert "Put the bit back" in answer.content.decode()


def test_a_hand_over_says_whom_it_waits_for(browse, bo, ana, working, veldwerk):
    handout.hand_over(working, ana.user, veldwerk)
    assert "Offered to Veldwerk" in words(browse(ana).get(page_of(working)))
    assert "Ana Lima asks you to take this over" in words(browse(bo).get("/queue/"))


def test_words_written_too_late_are_kept(browse, hal, ana, working):
    actions.judge(working, ana.user, "in")
    actions.solve(working, ana.user, "Put the bit back")
    key = "6a0f1e34-8f0c-4c1c-9d5e-3a2f4b1c0d9e"
    answer = browse(ana).post(f"{page_of(working)}reply/", {"body": "One more thing", "key": key})
    assert answer.status_code == 409
    assert "One more thing" in answer.content.decode()


# The queue


def test_the_queue_begins_with_what_waits_for_an_answer(browse, hal, ana, bo):
    file(hal)
    assert heading(browse(ana).get("/queue/")) == "One ticket is waiting for your answer"
    assert heading(browse(bo).get("/queue/")) == "Nothing is waiting for your answer"


def test_an_offer_shows_the_clients_words_to_whoever_is_asked(browse, hal, ana, bo):
    file(hal, description="It ends with **an error**")
    assert "It ends with an error" in words(browse(ana).get("/queue/"))
    assert "It ends with" not in words(browse(bo).get("/queue/"))


def test_a_ticket_in_the_queue_shows_others_no_words_and_no_name(browse, hal, bo):
    ticket = file(hal, subject="Verify fails")
    page = words(browse(bo).get("/queue/"))
    assert f"#{ticket.number} Standard S3 · hindered" in page
    assert "Verify fails" not in page
    assert "Riverbank" not in page


def test_a_paused_member_does_not_read_the_open_call(browse, bo, veldwerk, on_call):
    assert "Sites answer 502" in words(browse(bo).get("/queue/"))
    other = Ticket.objects.get()
    other.offers.filter(member=veldwerk).delete()
    Member.objects.filter(pk=veldwerk.pk).update(status=Member.Status.PAUSED)
    assert "Sites answer 502" not in words(browse(bo).get("/queue/"))


def test_the_open_call_is_claimed_from_the_queue(browse, bo, on_call):
    assert reverse("tickets:claim", args=[on_call.number]) in browse(bo).get("/queue/").content.decode()


def test_the_order_marks_me_and_who_is_on_offer(browse, hal, ana):
    file(hal)
    page = browse(ana).get("/queue/").content.decode()
    mine = re.search(r'<li class="me">(.*?)</li>', page, re.DOTALL)[1]
    assert words_of(mine) == "Ana Lima you on offer"


def test_leave_is_shown_and_ended_from_the_queue(browse, ana, lima):
    go_away(lima, timezone.localdate() + timedelta(days=9))
    answer = browse(ana).get("/queue/")
    assert heading(answer).startswith("You are away until")
    assert "I am back" in words(answer)


def test_a_first_day_back_in_the_past_is_asked_again(browse, ana):
    answer = browse(ana).post("/availability/away/", {"until": "2015-01-01"})
    assert answer.status_code == 422
    assert "Choose a day in the future." in words(answer)


def test_shares_are_counted_per_member(browse, hal, ana):
    handout.accept(offer_of(file(hal)), ana)
    assert "Ana Lima 1 offered · 1 taken" in words(browse(ana).get("/queue/"))


def test_the_desk_is_left_alone_while_nothing_changes(browse, hal, ana):
    offer = offer_of(file(hal))
    assert browse(ana).get("/queue/offers/", {"shown": f"{offer.pk}."}).status_code == 204


def test_a_new_offer_comes_with_its_sentence(browse, hal, ana):
    file(hal)
    answer = browse(ana).get("/queue/offers/", {"shown": ""}, headers={"HX-Request": "true"})
    assert 'hx-swap-oob="innerHTML:#offers-heading"' in answer.content.decode()
    assert "One ticket is waiting for your answer" in words(answer)


def test_the_queue_is_for_members(browse, hal, edda, cleo):
    for other in [hal, edda, cleo]:
        assert browse(other).get("/queue/").status_code == 403


# Offers


def test_an_offer_alone_shows_all_its_words_while_it_is_open(browse, hal, ana, bo):
    offer = offer_of(file(hal, description="It ends with an error"))
    assert "It ends with an error" in words(browse(ana).get(f"/offers/{offer.pk}/"))
    assert browse(bo).get(f"/offers/{offer.pk}/").status_code == 404


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (handout.refuse, "You passed this ticket on"),
        (handout.accept, "You took this ticket"),
        (lambda offer, ana: actions.withdraw(offer.ticket, offer.ticket.requester), "This offer was withdrawn"),
    ],
)
def test_an_answered_offer_shows_no_words(browse, hal, ana, act, sentence):
    offer = offer_of(file(hal, subject="Verify fails", description="It ends with an error"))
    act(offer, ana)
    answer = browse(ana).get(f"/offers/{offer.pk}/")
    assert heading(answer) == sentence
    assert "It ends with" not in words(answer)
    assert "Verify fails" not in words(answer)
    assert "Riverbank" not in words(answer)


def test_an_offer_whose_time_is_over_shows_no_words(browse, hal, ana):
    offer = offer_of(file(hal, subject="Verify fails"))
    with time_machine.travel(offer.answer_by, tick=False):
        answer = browse(ana).get(f"/offers/{offer.pk}/")
    assert heading(answer) == "The time to answer this offer is over"
    assert "Verify fails" not in words(answer)


def test_a_reason_that_is_too_long_comes_back(browse, hal, ana):
    offer = offer_of(file(hal))
    answer = browse(ana).post(f"/offers/{offer.pk}/refuse/", {"reason": "x" * 201})
    assert answer.status_code == 422
    assert "x" * 201 in answer.content.decode()


def test_the_page_of_the_mail_shows_neither_words_nor_the_client(browse, hal, ana):
    offer = offer_of(file(hal, subject="Verify fails", description="It ends with an error"))
    answer = browse().get(answer_page(offer, ana))
    page = answer.content.decode()
    assert heading(answer) == f"Will you take ticket #{offer.ticket_id}?"
    assert not [secret for secret in ["Verify fails", "It ends with", "Riverbank", "Hal"] if secret in page]


def test_an_offer_is_accepted_from_the_mail(browse, hal, ana):
    offer = offer_of(file(hal, subject="Verify fails"))
    answer = browse().post(answer_page(offer, ana), {"answer": "accept"})
    assert heading(answer) == f"Ticket #{offer.ticket_id} is yours"
    assert "Verify fails" not in answer.content.decode()
    assert Ticket.objects.get().assignee == ana


def test_an_offer_is_refused_from_the_mail_with_a_reason(browse, hal, ana):
    offer = offer_of(file(hal))
    answer = browse().post(answer_page(offer, ana), {"answer": "refuse", "reason": "On the road"})
    assert heading(answer) == f"Ticket #{offer.ticket_id} is passed on"
    offer.refresh_from_db()
    assert (offer.outcome, offer.reason) == ("refused", "On the road")


@pytest.mark.parametrize(("answer", "said"), [("accept", "You have accepted it already"), ("refuse", "It was refused")])
def test_a_link_that_is_used_up_says_what_happened(browse, hal, ana, answer, said):
    page = answer_page(offer_of(file(hal)), ana)
    browse().post(page, {"answer": answer})
    again = browse().post(page, {"answer": "accept"})
    assert again.status_code == 409
    assert heading(again) == "This offer has ended"
    assert said in words(again)
    assert browse().get(page).status_code == 410


def test_a_link_with_a_part_missing_is_explained(browse):
    answer = browse().get("/offers/nonsense/")
    assert answer.status_code == 404
    assert heading(answer) == "This link is not valid"


def test_any_other_answer_is_asked_again(browse, hal, ana):
    answer = browse().post(answer_page(offer_of(file(hal)), ana), {"answer": "perhaps"})
    assert answer.status_code == 422
    assert "Accept" in words(answer)


# Home


def test_home_answers_a_member_first(browse, hal, ana):
    file(hal)
    answer = browse(ana).get("/home/")
    assert heading(answer) == "One ticket is waiting for your answer"
    assert "Accept" in words(answer)


def test_home_answers_a_client_first(browse, hal, ana, working):
    actions.reply(working, ana.user, "May I look?", wait=True)
    answer = browse(hal).get("/home/")
    assert heading(answer) == "One ticket is waiting for your answer"
    assert "39 of 40" in words(answer)


def test_home_lists_what_waits_for_the_client_first(browse, hal, ana, working):
    actions.reply(working, ana.user, "May I look?", wait=True)
    for _ in range(10):
        file(hal, subject="Later news")
    assert f"#{working.number}" in words(browse(hal).get("/home/"))


def test_home_shows_the_coordinator_what_stands_still(browse, chloe, on_call):
    assert "On open call: nobody has taken them" in words(browse(chloe).get("/home/"))


def test_home_shows_the_coordinator_what_is_late(browse, hal, chloe):
    ticket = file(hal)
    with time_machine.travel(ticket.first_response_by + timedelta(minutes=1), tick=False):
        assert "First response is late" in words(browse(chloe).get("/home/"))


def test_home_tells_a_stranger_what_will_be_there(browse, cleo):
    answer = browse(cleo).get("/home/")
    assert heading(answer) == "Hello Cleo, nothing here is yours yet"
    assert "cleo@nowhere.example" in words(answer)


# The same cost for one row and for three


def grow_tickets(hal, ana, bo, denis):
    ticket = file(hal)
    offer = offer_of(ticket)
    handout.accept(offer, next(each for each in [ana, bo, denis] if each.member == offer.member))


def grow_offers(hal, ana, bo, denis):
    """One more ticket of everybody, one more on offer to Ana, one more on open call."""
    called = file(hal)
    for _ in range(3):
        offer = offer_of(called)
        handout.refuse(offer, next(each for each in [ana, bo, denis] if each.member == offer.member))
    for _ in range(3):
        grow_tickets(hal, ana, bo, denis)
    for _ in range(3):
        file(hal)


@pytest.mark.parametrize("reader", ["hal", "ana", "chloe"])
@pytest.mark.parametrize("address", ["/tickets/?show=all", "/home/"])
def test_lists_cost_the_same_for_one_row_and_for_three(browse, cast, reader, address):
    everybody = cast.hal, cast.ana, cast.bo, cast.denis
    browser = browse(getattr(cast, reader))
    grow_offers(*everybody)
    one = queries(browser, address)
    grow_offers(*everybody)
    grow_offers(*everybody)
    assert queries(browser, address) == one


def test_the_queue_costs_the_same_for_one_row_and_for_three(browse, cast):
    everybody = cast.hal, cast.ana, cast.bo, cast.denis
    browser = browse(cast.ana)
    grow_offers(*everybody)
    one = queries(browser, "/queue/")
    grow_offers(*everybody)
    grow_offers(*everybody)
    assert queries(browser, "/queue/") == one


@pytest.mark.parametrize("reader", ["hal", "ana"])
def test_a_ticket_costs_the_same_for_one_message_and_for_three(browse, cast, reader, working):
    def say():
        actions.reply(working, cast.hal.user, "And another thing")
        actions.reply(working, cast.ana.user, "I see")
        actions.note(working, cast.ana.user, SECRET)

    browser = browse(getattr(cast, reader))
    say()
    one = queries(browser, page_of(working))
    say()
    say()
    assert queries(browser, page_of(working)) == one
    assert Message.objects.filter(ticket=working).count() == 10


def test_an_answer_within_a_minute_is_said_so(hal, browse, working, ana):
    actions.reply(working, working.assignee.user, "On it.")
    assert "given within a minute, in time" in words(browse(hal).get(page_of(working)))
