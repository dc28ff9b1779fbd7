"""Files on tickets: who may attach what, who reads it, and what is said when it does not fit."""

import re
import uuid

import pytest
from django.conf import settings
from django.test import Client

from aegir_support.models import Outbox, StoredFile
from billing.models import Tier
from tests.files.samples import kept, picture, upload
from tests.tickets.filing import file, offer_of
from tickets import actions, handout
from tickets.models import Attachment, Message, Ticket

pytestmark = pytest.mark.django_db

MB = 1_000_000


def page_of(ticket, form=""):
    return f"/tickets/{ticket.number}/{form}"


def words(**more):
    return {"body": "See there.", "key": str(uuid.uuid4()), **more}


def only():
    return Attachment.objects.get()


# Attaching


def test_a_client_files_a_ticket_with_files(browse, hal):
    said = {"subject": "Verify fails", "description": "See the log.", "severity": 3, "channel": "portal", "server": ""}
    sent = {**said, "key": str(uuid.uuid4()), "attachments": [upload("error.png"), upload("verify.log", b"failed\n")]}
    answer = browse(hal).post("/tickets/new/", sent)
    ticket = Ticket.objects.get()
    assert answer["Location"] == page_of(ticket)
    there = ticket.messages.get().attachments.all()
    assert [(each.name, each.kind, each.position) for each in there] == [
        ("error.png", "Picture", 1),
        ("verify.log", "Text", 2),
    ]
    page = browse(hal).get(page_of(ticket)).content.decode()
    assert f"/attachments/{there[0].pk}/thumbnail/" in page
    assert "verify.log" in page
    assert "7 bytes" in page


@pytest.mark.parametrize("form", ["reply", "note", "solve"])
def test_a_member_attaches_files_to_what_they_write(browse, ana, working, form):
    actions.judge(working, ana.user, "in")
    browse(ana).post(page_of(working, f"{form}/"), words(attachments=upload()))
    assert only().message.author == ana.user


def test_a_client_attaches_files_when_reopening(browse, hal, ana, working):
    actions.judge(working, ana.user, "in")
    actions.solve(working, ana.user, "Done.")
    browse(hal).post(page_of(working, "reopen/"), words(attachments=upload()))
    assert only().message.author == hal.user


@pytest.mark.parametrize("form", ["reply", "reopen", "note", "solve"])
def test_the_same_form_twice_attaches_once(browse, hal, ana, working, form):
    who = hal if form in {"reply", "reopen"} else ana
    actions.judge(working, ana.user, "in")
    if form == "reopen":
        actions.solve(working, ana.user, "Done.")
    sent = words()
    for _ in range(2):
        browse(who).post(page_of(working, f"{form}/"), {**sent, "attachments": upload()})
    assert only().name == "error.png"
    assert StoredFile.objects.count() == 1


def test_a_reply_sent_again_with_one_more_file_loses_none(browse, hal, working):
    sent = words()
    browse(hal).post(page_of(working, "reply/"), {**sent, "attachments": upload()})
    browse(hal).post(page_of(working, "reply/"), {**sent, "attachments": [upload(), upload("verify.log", b"failed\n")]})
    assert [each.attachments.count() for each in working.messages.order_by("pk")] == [0, 1, 2]


def test_a_filing_sent_again_with_a_file_says_that_it_is_not_on_the_ticket(browse, hal):
    said = {"subject": "Verify fails", "description": "See.", "severity": 3, "channel": "portal", "server": ""}
    sent = {**said, "key": str(uuid.uuid4())}
    browse(hal).post("/tickets/new/", sent)
    answer = browse(hal).post("/tickets/new/", {**sent, "attachments": upload()})
    assert answer.status_code == 409
    assert f"#{Ticket.objects.get().number}" in answer.content.decode()


def test_the_same_filing_twice_attaches_once(browse, hal):
    said = {"subject": "Verify fails", "description": "See.", "severity": 3, "channel": "portal", "server": ""}
    sent = {**said, "key": str(uuid.uuid4())}
    for _ in range(2):
        browse(hal).post("/tickets/new/", {**sent, "attachments": upload()})
    assert only().message.ticket == Ticket.objects.get()


def test_mails_name_the_files_and_carry_none(hal, ana, working):
    actions.reply(working, ana.user, "See there.", files=[kept("a <b> & c.log", b"x" * 1500)])
    payload = Outbox.objects.get(key__startswith="reply:").payload
    assert "- a <b> & c.log (2 kB)" in payload["text"]
    assert "a &lt;b&gt; &amp; c.log (2 kB)" in payload["html"]
    file(hal, files=[kept()])
    assert "error.png" in Outbox.objects.filter(key__startswith="filed:").latest("pk").payload["text"]


def test_a_mail_about_words_alone_says_nothing_of_files(ana, working):
    actions.reply(working, ana.user, "Words alone.")
    assert "Attached" not in str(Outbox.objects.get(key__startswith="reply:").payload)


# Limits


@pytest.fixture
def small(hal):
    """Riverbank's tier takes two files, 1 MB each and together."""
    Tier.objects.filter(code="standard").update(files_per_message=2, file_mb=1, message_mb=1)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([1, 1, 1], "These are 3 files; one message takes at most 2."),
        ([MB + 1], "“log-0.txt” is too large: 1.1 MB, and at most 1 MB fit."),
        ([MB - 10, 11], "Together they are 1.1 MB; the files of one message may be 1 MB."),
    ],
)
@pytest.mark.parametrize("side", ["hal", "ana"])
def test_what_does_not_fit_is_said_and_nothing_is_lost(browse, cast, small, working, files, sentence, side):
    working.refresh_from_db()
    sent = words(body="Long words.", attachments=[upload(f"log-{n}.txt", b"x" * size) for n, size in enumerate(files)])
    answer = browse(getattr(cast, side)).post(page_of(working, "reply/"), sent)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in page
    assert "Long words." in page
    assert sent["key"] in page
    assert "Please choose the files again" in page
    assert Message.objects.filter(ticket=working).count() == 1
    assert not StoredFile.objects.exists()


def test_what_just_fits_is_taken(browse, hal, small, working):
    files = [upload("one.txt", b"x" * (MB - 10)), upload("two.txt", b"x" * 10)]
    assert browse(hal).post(page_of(working, "reply/"), words(attachments=files)).status_code == 302
    assert Attachment.objects.count() == 2


def test_the_page_says_what_fits_before(browse, hal, small, working):
    page = browse(hal).get(page_of(working)).content.decode()
    assert "Up to 2 files, 1 MB each and 1 MB together." in page
    assert 'data-file-bytes="1000000"' in page


def test_a_filing_that_does_not_fit_keeps_its_words(browse, hal, small):
    said = {"subject": "Verify fails", "description": "Long words.", "severity": 3, "channel": "portal", "server": ""}
    answer = browse(hal).post(
        "/tickets/new/", {**said, "key": str(uuid.uuid4()), "attachments": upload("a", b"x" * 2 * MB)}
    )
    assert answer.status_code == 422
    assert "Long words." in answer.content.decode()
    assert not Ticket.objects.exists()


def test_beyond_the_ceiling_of_the_site_nothing_is_kept_and_the_words_come_back(browse, hal, working, settings):
    settings.UPLOAD_MAX_MB = 3
    files = [upload("one.bin", b"x" * 2 * MB), upload("two.bin", b"x" * 2 * MB)]
    answer = browse(hal).post(page_of(working, "reply/"), words(body="Long words.", attachments=files))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "The files are too large: at most 3 MB fit" in page
    assert "Long words." in page
    assert not StoredFile.objects.exists()


@pytest.mark.parametrize("logged_in", [False, True])
def test_files_of_whoever_is_not_logged_in_are_not_kept_while_the_form_is_read(browse, hal, working, logged_in):
    """A form is read for its token before log-in is asked for; logged in is the control, where it comes in."""
    browser = browse(hal) if logged_in else Client()
    browser.handler.enforce_csrf_checks = True
    browser.cookies[settings.CSRF_COOKIE_NAME] = token = "a" * 32
    large = upload("large.bin", b"x" * 3 * MB)
    answer = browser.post(page_of(working, "reply/"), words(attachments=large, csrfmiddlewaretoken=token))
    assert answer.status_code == 302
    assert answer.url.startswith("/tickets/" if logged_in else "/accounts/login/")
    assert list(answer.wsgi_request.FILES) == (["attachments"] if logged_in else [])
    assert StoredFile.objects.exists() is logged_in


def test_words_alone_need_no_file(browse, hal, working):
    assert browse(hal).post(page_of(working, "reply/"), words()).status_code == 302
    assert not Attachment.objects.exists()


def test_a_version_of_a_tier_in_use_keeps_its_limits(browse, finn, working):
    tier = Tier.objects.get(code="standard")
    page = browse(finn).get(f"/admin/billing/tier/{tier.pk}/change/").content.decode()
    assert "largest file" in page.lower()
    assert 'name="file_mb"' not in page


# Reading


@pytest.fixture
def attached(working, hal):
    actions.reply(working, hal.user, "See there.", files=[kept("Fehler – größer.png")])
    return only()


def test_a_file_is_saved_and_never_shown(browse, hal, attached):
    answer = browse(hal).get(f"/attachments/{attached.pk}/")
    assert b"".join(answer.streaming_content) == picture()
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''Fehler%20%E2%80%93%20gr%C3%B6%C3%9Fer.png"
    assert answer["Content-Type"] == "image/png"
    assert answer["Content-Length"] == str(attached.file.size)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("default-src 'none'; sandbox;")
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("size", ["picture", "thumbnail"])
def test_a_picture_is_shown_as_we_drew_it(browse, hal, attached, size):
    answer = browse(hal).get(f"/attachments/{attached.pk}/{size}/")
    assert answer["Content-Type"] == "image/webp"
    assert "attachment" not in answer.get("Content-Disposition", "")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert b"".join(answer.streaming_content)[:4] == b"RIFF"


def test_what_is_no_picture_is_never_shown(browse, hal, working):
    actions.reply(working, hal.user, "See there.", files=[kept("drawing.svg", b"<svg onload='alert(1)'/>")])
    for size in ["picture", "thumbnail"]:
        assert browse(hal).get(f"/attachments/{only().pk}/{size}/").status_code == 404


@pytest.mark.parametrize(
    ("who", "status"),
    [("hal", 200), ("gita", 200), ("ana", 200), ("chloe", 200), ("iris", 404), ("bo", 404), ("edda", 404)],
)
def test_whoever_may_read_the_message_may_read_its_files(browse, cast, attached, who, status):
    assert browse(getattr(cast, who)).get(f"/attachments/{attached.pk}/").status_code == status


def test_files_of_a_note_are_for_members_only(browse, hal, ana, working):
    actions.note(working, ana.user, "Look.", files=[kept()])
    assert browse(hal).get(f"/attachments/{only().pk}/").status_code == 404
    assert browse(hal).get(f"/attachments/{only().pk}/thumbnail/").status_code == 404
    assert browse(ana).get(f"/attachments/{only().pk}/").status_code == 200


def test_the_same_bytes_of_two_clients_open_nothing_to_the_other(browse, hal, iris):
    """Kept once, read apart: what Iris sent gives her no way to what Hal sent, though it is one file."""
    theirs = file(hal, files=[kept("ours.png")]).messages.get().attachments.get()
    hers = file(iris, files=[kept("mine.png")]).messages.get().attachments.get()
    assert theirs.file == hers.file
    assert browse(iris).get(f"/attachments/{hers.pk}/").status_code == 200
    assert browse(iris).get(f"/attachments/{theirs.pk}/").status_code == 404
    assert browse(hal).get(f"/attachments/{hers.pk}/").status_code == 404


def test_the_page_costs_the_same_with_one_file_and_with_nine(browse, hal, working, django_assert_max_num_queries):
    def queries():
        with django_assert_max_num_queries(100) as counted:
            browse(hal).get(page_of(working))
        return len(counted.captured_queries)

    actions.reply(working, hal.user, "One.", files=[kept()])
    queries()
    with_one = queries()
    for _ in range(4):
        actions.reply(working, hal.user, "More.", files=[kept(), kept("b.txt", b"b")])
    assert queries() == with_one


def test_a_stranger_learns_nothing_from_a_number(browse, cleo, attached):
    there = browse(cleo).get(f"/attachments/{attached.pk}/")
    nowhere = browse(cleo).get("/attachments/999999/")
    strip = re.compile(rb"[0-9a-f-]{8,}|csrf[^>]+|X-CSRFToken[^>]+|data-server-time=\S+")
    assert there.status_code == nowhere.status_code == 404
    assert strip.sub(b"", there.content) == strip.sub(b"", nowhere.content)


def test_a_script_that_sends_files_is_told_the_next_page(browse, hal, working):
    answer = browse(hal).post(page_of(working, "reply/"), words(attachments=upload()), headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Redirect"]) == (200, page_of(working))


def test_a_member_reads_the_files_while_the_ticket_is_on_offer_to_them(browse, hal):
    offered = offer_of(file(hal, files=[kept()]))
    member = offered.member.representatives.first()
    assert browse(member).get(f"/attachments/{only().pk}/").status_code == 200
    handout.refuse(offered, member)
    assert browse(member).get(f"/attachments/{only().pk}/").status_code == 404
