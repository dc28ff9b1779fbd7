"""A browser that goes away in the middle of a form has sent nothing."""

import socket
import uuid

import pytest

from tests.faults.programs import Person, wait_for
from tests.tickets.filing import file
from tickets.models import Message

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

OURS, CREDULOUS = "aegir_support.wsgi:application", "tests.faults.credulous:application"
EDGE = "edge"


def multipart(**fields):
    start = f"--{EDGE}\r\nContent-Disposition: form-data; "
    parts = [f'{start}name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    return "".join([*parts, f'{start}name="attachments"; filename="trace.log"\r\n\r\n']).encode()


def urlencoded(**fields):
    return "&".join(f"{name}={it}" for name, it in fields.items()).encode()


def send_half(person, ticket, body, kind):
    """Announce a megabyte, send the words and the beginning of the rest, and hang up."""
    head = [
        f"POST /tickets/{ticket.number}/reply/ HTTP/1.1",
        "Host: localhost",
        f"Cookie: {person.cookies}",
        f"X-CSRFToken: {person.token}",
        f"Content-Type: {kind}",
        "Content-Length: 1000000",
    ]
    with socket.create_connection(("127.0.0.1", person.port), timeout=10) as line:
        line.sendall("\r\n".join([*head, "", ""]).encode() + body + b"x" * 1000)


@pytest.mark.parametrize(("site", "said"), [(OURS, 0), (CREDULOUS, 2)])
def test_half_a_form_is_no_form(hal, programs, site, said):
    """Without the guard a reply is said without its files, or with half its words."""
    ticket = file(hal)
    before = Message.objects.count()
    person = Person.of(hal, programs.web(site=site).port)
    words = {"key": uuid.uuid4(), "body": "Here is the trace."}
    send_half(person, ticket, multipart(**words), f"multipart/form-data; boundary={EDGE}")
    send_half(person, ticket, urlencoded(**{**words, "key": uuid.uuid4()}), "application/x-www-form-urlencoded")
    wait_for(lambda: Message.objects.count() == before + 2, seconds=4)
    assert Message.objects.count() == before + said
    whole = {**words, "key": uuid.uuid4()}
    assert person.post(f"/tickets/{ticket.number}/reply/", **whole).status == 302
    assert Message.objects.count() == before + said + 1
