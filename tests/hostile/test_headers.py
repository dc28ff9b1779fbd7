"""Headers are data: no line break in a name, a subject or a reason begins a header of its own.

Each mail is read again from the bytes a mail server would be given, and each answer from what the browser gets.
"""

from email import message_from_bytes, policy
from email.header import decode_header, make_header
from urllib.parse import quote, urlsplit

import pytest
from django.core import mail as django_mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.mail import EmailMessage

from aegir_support import demo, mail, outbox, text
from aegir_support.models import Outbox
from billing.models import Client
from members.models import User
from tests.hostile.payloads import CRLF, FILE_NAMES, everything, kept_here
from tests.tickets.filing import offer_of
from tickets import actions, handout
from tickets.models import Ticket

FILING = {"description": "x", "severity": "3", "channel": "portal"}
OURS = {
    *("content-type", "mime-version", "subject", "from", "to", "message-id", "date", "auto-submitted"),
    *("x-auto-response-suppress", "content-transfer-encoding"),
}


def delivered():
    """Every mail that waits, as (row, the message read from its bytes)."""
    django_mail.outbox.clear()
    rows = list(Outbox.objects.filter(kind="mail", done_at=None).order_by("pk"))
    for row in rows:
        mail.deliver(row)
    read = [message_from_bytes(each.message().as_bytes(), policy=policy.compat32) for each in django_mail.outbox]
    Outbox.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return list(zip(rows, read, strict=True))


def faults_of(row, message):
    """What is wrong with the headers: one too many, one twice, a subject that reads otherwise than it was written."""
    names = [name.lower() for name in message]
    faults = sorted(set(names) - OURS - {name.lower() for name in row.payload["headers"]})
    faults += sorted({name for name in names if names.count(name) > 1})
    said = str(make_header(decode_header(message["subject"])))
    # A header that is folded and read again keeps its words; how many spaces were between them, nobody sees.
    if said.split() != row.payload["subject"].split():
        faults.append(f"reads {said!r}, written {row.payload['subject']!r}")
    return faults


def test_no_subject_or_name_begins_a_header(browse, hal, ana, riverbank):
    """Through the forms: subjects, names of people and clients, and what a refusal says."""
    wrong, mails = [], 0
    for number, attack in enumerate(CRLF):
        User.objects.filter(pk=hal.user_id).update(name=attack[:120])
        Client.objects.filter(pk=riverbank.pk).update(name=attack[:120])
        hal.user.refresh_from_db()
        form = {
            "key": f"00000000-0000-4000-8000-{number:012}",
            "description": "x",
            "severity": "3",
            "channel": "portal",
        }
        assert browse(hal).post("/tickets/new/", form | {"subject": attack}).status_code == 302
        ticket = Ticket.objects.first()
        assert ticket.subject == text.one_line(attack)
        offer = offer_of(ticket)
        handout.accept(offer, offer.member.representatives.first())
        ticket.refresh_from_db()
        actions.reply(ticket, ticket.requester, attack)
        actions.reply(ticket, ticket.assignee.user, attack, wait=True)
        for row, message in delivered():
            mails += 1
            wrong += [(attack, row.key, fault) for fault in faults_of(row, message)]
    assert wrong == []
    assert mails >= 4 * len(CRLF)


def test_no_invitation_begins_a_header(browse, gita, riverbank):
    wrong, mails = [], 0
    for number, attack in enumerate(CRLF):
        User.objects.filter(pk=gita.user_id).update(name=attack[:120])
        Client.objects.filter(pk=riverbank.pk).update(name=attack[:120])
        form = {"name": attack, "email": f"guest{number}@riverbank.example", "role": "technical", "sees": "all"}
        assert browse(gita).post("/contacts/", form).status_code == 302
        for row in Outbox.objects.filter(kind="invitation", done_at=None):
            outbox.handlers["invitation"](row)
        Outbox.objects.filter(kind="invitation").delete()
        for row, message in delivered():
            mails += 1
            wrong += [(attack, fault) for fault in faults_of(row, message)]
        assert browse(gita).post("/contacts/", form | {"email": f"x{attack}@riverbank.example"}).status_code == 422
    assert wrong == []
    assert mails == len(CRLF)


@pytest.mark.parametrize("texts", [kept_here, pytest.param(everything, marks=pytest.mark.long)])
def test_every_text_there_is_comes_through_as_subject_sender_and_header(db, settings, texts):
    wrong = []
    for number, attack in enumerate(texts()):
        message = EmailMessage(
            subject=attack,
            body=attack,
            from_email=f'"{attack}" <support@aegir.example>' if number % 2 else None,
            to=["hal@riverbank.example"],
            headers={"X-About": attack},
        )
        mail.enqueue_message(message, key=f"attack:{number}")
    for row, message in delivered():
        wrong += [(row.key, fault) for fault in faults_of(row, message)]
    assert wrong == []


def test_a_receiver_is_one_address(db):
    """What is no address is refused by the mail server's client or sent to nobody, and never becomes a second one."""
    for number, attack in enumerate(CRLF):
        mail.enqueue_message(
            EmailMessage(subject="x", body="x", to=[f"hal@riverbank.example{attack}"]), key=f"to:{number}"
        )
        row = Outbox.objects.get(key=f"to:{number}")
        assert len(row.payload["to"]) == 1
        assert "\n" not in row.payload["to"][0]
        assert "\r" not in row.payload["to"][0]


def test_headers_put_together_by_hand_are_injected():
    """The control: what the tests above look for is there as soon as a message is built from strings."""
    injected = 0
    for attack in CRLF:
        naive = f"From: a@aegir.example\r\nSubject: {attack}\r\n\r\nx".encode()
        injected += "Bcc" in message_from_bytes(naive) or "Bcc" in message_from_bytes(naive).get_payload()
    assert injected >= 6


# Headers of answers


@pytest.mark.parametrize("name", FILE_NAMES)
def test_the_name_of_a_file_is_data(browse, hal, name):
    key = "00000000-0000-4000-8000-000000000001"
    form = FILING | {"key": key, "subject": "x"}
    sent = SimpleUploadedFile("x.txt", b"Just words.\n", content_type="text/plain")
    sent._name = name  # past the cleaning that this class does for a well-meaning sender
    browser = browse(hal)
    answer = browser.post("/tickets/new/", {**form, "attachments": sent})
    assert answer.status_code in {302, 422}
    if answer.status_code == 302:
        kept = Ticket.objects.first().messages.get().attachments.get()
        download = browser.get(f"/attachments/{kept.pk}/")
        list(download.streaming_content) if download.streaming else None
        said = download["Content-Disposition"]
        assert said.startswith("attachment;")
        assert not set(said) & set("\r\n\0\u202e")
        assert "Set-Cookie" not in download.headers
        assert said.count("filename") <= 2
        assert download["X-Content-Type-Options"] == "nosniff"


ELSEWHERE = [
    *("https://evil.example/", "//evil.example/", "\\\\evil.example", "/\\evil.example", "///evil.example"),
    *("http:evil.example", "javascript:alert(1)", " //evil.example", "\t//evil.example", "https:evil.example"),
    *("//evil.example\\@testserver/", "/\t/evil.example", "//evil%E3%80%82example", "http://testserver@evil.example/"),
    *("/home/\r\nSet-Cookie: sessionid=evil", "/home/%0d%0aX-Evil: 1", "ftp://testserver/", "//[::1"),
    "\x00//evil.example",
]
ENTRANCES = ["/accounts/login/", "/accounts/logout/", "/accounts/reauthenticate/", "/admin/login/"]


@pytest.mark.parametrize("address", ENTRANCES)
def test_no_redirect_leads_to_another_site(browse, hal, address):
    wrong = []
    for there in ELSEWHERE:
        for browser in [browse(), browse(hal)]:
            facts = {"next": there, "login": hal.user.email, "password": demo.PASSWORD}
            asked = f"{address}?next={quote(there)}"
            for answer in [browser.get(asked), browser.post(asked, facts)]:
                place = urlsplit(answer.get("Location", "/").replace("\\", "/").strip())
                stays = place.netloc in {"", "testserver"} and place.scheme in {"", "http"}
                clean = "X-Evil" not in answer.headers and "evil" not in str(answer.cookies)
                if answer.status_code >= 500 or not stays or not clean:
                    wrong.append((there, answer.status_code, answer.get("Location")))
    assert wrong == []
