"""Every text through every field of every form: none makes the site fail, and what is kept is what was written."""

import re
from html.parser import HTMLParser

import pytest
from django.db import connection, transaction

from aegir_support import text
from aegir_support.fields import LineField
from billing.models import Invitation, Tier
from tests.hostile import pages
from tests.hostile.payloads import everything, kept_here, sample
from tests.test_access import ROLES, browsers, example, table
from tests.tickets.filing import file, offer_of
from tickets import actions, handout
from tickets.models import Message, Offer, Ticket

# How many texts go through each field: a sample, or as many as fit into minutes.
REACH = pytest.mark.parametrize(
    "most", [pytest.param(2, id="some"), pytest.param(8, id="many", marks=pytest.mark.long)]
)
# Some of what there is to type into, so that a form that is no longer found is missed.
TYPED = {"subject", "description", "body", "reason", "name", "email", "until", "login", "password"}
# Logging out would end the test, and a new password everybody else's.
BESIDES = ("/accounts/logout", "/accounts/password/change", "/admin/logout", "/admin/password_change")


@pytest.fixture
def everybody(cast):
    return dict(zip(ROLES, browsers(cast), strict=True))


def forms_by_role(everybody, scene, *, admin):
    """{shape: (role, form)}: each form of the site once, as the first who gets to see it."""
    found = {}
    for role in ["finn"] if admin else ["hal", "gita", "ana", "bo", "chloe", "jo", "edda", "visitor"]:
        place = ROLES.index(role)
        for address, rows in table().items():
            if rows["GET"][place] != 200 or address.startswith("admin/") != admin or address.startswith("-/"):
                continue
            path = example(address, scene)
            answer = everybody[role].get(path)
            if "html" in answer.get("Content-Type", ""):
                for form in pages.Reader(answer.content.decode(), path).forms:
                    found.setdefault(form.shape, (role, form))
    return [each for each in found.values() if not each[1].action.startswith(BESIDES)]


@REACH
@pytest.mark.parametrize("admin", [False, True], ids=["site", "admin"])
def test_no_text_in_any_field_makes_the_site_fail(everybody, scene, admin, most):
    there = forms_by_role(everybody, scene, admin=admin)
    fields = [(role, form, each) for role, form in there for each in form.fields if each.is_typed or is_hidden(each)]
    typed = {each.name.split("-")[-1] for _role, _form, each in fields if each.is_typed}
    assert typed >= ({"name", "email", "hostname"} if admin else TYPED), "a form is not looked at"
    fields = sample(fields, 30 if most < 5 else 400, "fields")
    failed, tries = [], 0
    for role, form, each in fields:
        for attack in sample(kept_here(), most, f"{form.action}{each.name}"):
            status = answer(everybody[role], form, {each.name: attack})
            tries += 1
            failed += [(role, form.action, each.name, attack, status)] if status >= 500 else []
    assert failed == []
    assert tries >= 2 * 25


def answer(browser, form, facts):
    cookies = browser.cookies.copy()
    with transaction.atomic():
        status = getattr(browser, form.method)(form.action, form.filled_in(**facts)).status_code
        transaction.set_rollback(True)
    browser.cookies = cookies
    return status


def is_hidden(field):
    return field.kind == "hidden" and field.name != "csrfmiddlewaretoken"


def test_an_admin_who_was_overtaken_is_told_so(everybody, scene):
    """A form of four promises that claims to know of none, as one drawn before somebody else saved them."""
    tier = Tier.objects.filter(promises__isnull=False, subscriptions=None).first()
    address = f"/admin/billing/tier/{tier.pk}/change/"
    page = pages.Reader(everybody["finn"].get(address).content.decode(), address)
    form = next(form for form in page.forms if any(each.name == "promises-INITIAL_FORMS" for each in form.fields))
    assert answer(everybody["finn"], form, {"promises-INITIAL_FORMS": "0"}) == 409
    assert tier.promises.count() == 4


# What is kept


class Heading(HTMLParser):
    """The words of the first heading, as they are read."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.words, self._inside, self._read = "", False, False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self._inside = self._inside or (tag == "h1" and not self._read)

    def handle_endtag(self, tag):
        if tag == "h1":
            self._inside, self._read = False, True

    def handle_data(self, data):
        if self._inside:
            self.words += data


TEXTS = pytest.mark.parametrize(
    "texts",
    [
        pytest.param(lambda: sample(kept_here(), 25, "kept"), id="some"),
        pytest.param(everything, id="all", marks=pytest.mark.long),
    ],
)


def is_nothing(written):
    return LineField(required=False).clean(written) == ""


@TEXTS
def test_a_subject_and_its_words_are_kept_and_shown_as_written(everybody, cast, texts):
    hal, wrong = everybody["hal"], []
    for number, attack in enumerate(texts()):
        subject = text.one_line(attack)[:200].strip()
        if is_nothing(subject):
            continue
        with transaction.atomic():
            facts = {"key": f"00000000-0000-4000-8000-{number:012}", "severity": "3", "channel": "portal"}
            filed = hal.post("/tickets/new/", facts | {"subject": subject, "description": attack})
            assert filed.status_code == 302, (attack, filed.status_code)
            ticket = Ticket.objects.latest("number")
            body = ticket.messages.get().body
            heading = Heading(hal.get(f"/tickets/{ticket.number}/").content.decode()).words
            if ticket.subject != text.one_line(subject) or body != text.clean(attack).strip():
                wrong.append((attack, ticket.subject, body))
            if heading.split() != ticket.subject.split():
                wrong.append((attack, heading))
            transaction.set_rollback(True)
    assert wrong == []


@TEXTS
def test_what_is_said_on_a_ticket_is_kept_as_written(everybody, cast, texts):
    """Reply, note, solving, reopening, and the reason of a refusal."""
    ticket = handout.accept(offer_of(file(cast.hal)), cast.ana)
    actions.judge(ticket, cast.ana.user, Ticket.Verdict.IN_SCOPE)
    wrong = []
    for number, attack in enumerate(texts()):
        if is_nothing(attack):
            continue
        for place, (role, verb) in enumerate([("hal", "reply"), ("ana", "note"), ("ana", "solve"), ("hal", "reopen")]):
            key = f"0000000{place}-0000-4000-8000-{number:012}"
            before = Message.objects.latest("pk").pk
            said = everybody[role].post(f"/tickets/{ticket.number}/{verb}/", {"key": key, "body": attack})
            assert said.status_code == 302, (attack, verb, said.status_code)
            kept = Message.objects.get(pk__gt=before)
            wrong += [(verb, attack, kept.body)] if kept.body != text.clean(attack).strip() else []
    assert wrong == []


@TEXTS
def test_a_reason_and_a_name_are_kept_as_written(everybody, cast, texts):
    wrong = []
    for number, attack in enumerate(texts()):
        line = text.one_line(attack)
        with transaction.atomic():
            offer = offer_of(file(cast.hal))
            role = {"Ana Lima": "ana", "Veldwerk": "bo"}.get(offer.member.name, "chloe")
            said = everybody[role].post(f"/offers/{offer.pk}/refuse/", {"reason": attack})
            assert said.status_code == (302 if len(line) <= 200 else 422), attack
            reason = Offer.objects.get(pk=offer.pk).reason
            wrong += [("reason", attack, reason)] if said.status_code == 302 and reason != kept_line(line) else []
            facts = {"email": f"guest{number}@riverbank.example", "role": "technical", "sees": "all", "name": attack}
            said = everybody["gita"].post("/contacts/", facts)
            assert said.status_code == (302 if 0 < len(kept_line(line)) <= 120 else 422), attack
            if said.status_code == 302:
                name = Invitation.objects.get(email=facts["email"]).name
                wrong += [("name", attack, name)] if name != line else []
            transaction.set_rollback(True)
    assert wrong == []


def kept_line(line):
    return "" if is_nothing(line) else line


def test_a_text_that_no_field_cleans_is_seen_to_fail(everybody, cast):
    """The control: where a text goes to the database as it came, NUL is refused there and the page fails."""
    with connection.cursor() as cursor, pytest.raises(Exception, match=re.compile("NUL|null", re.IGNORECASE)):
        cursor.execute("SELECT %s", ["a\x00b"])
