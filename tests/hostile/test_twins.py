"""What one organisation sees is nothing to the other: each id, key and address of hers, tried by his people, in vain.

A row of hers answers as one that does not exist: the same status, the same page, after as many queries.
"""

import re
from itertools import product

import pytest
import time_machine
from django.conf import settings
from django.db import connection, reset_queries, transaction
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from aegir_support.models import Outbox
from billing.models import Server
from members.models import User
from tests.hostile import pages
from tests.hostile.payloads import sample
from tests.hostile.twins import FIRST, FIRST_ID, NOBODY, NOBODY_ID, make_twins, sequences
from tests.test_access import addresses
from tickets import actions
from tickets.models import Ticket, TicketQuerySet

WRITES = re.compile(r'^(INSERT INTO|UPDATE|DELETE FROM) "(?!django_session|usersessions_|aegir_support_deed)')
# The names under which a page is asked for something, whether it knows them or not.
ASKED_BY = [
    *("before", "after", "show", "shown", "to", "q", "next", "page", "currency"),
    *("id", "number", "ticket", "client", "contact", "server"),
]
# Fields that no form has: what a careless form would take from whoever adds them.
SLIPPED_IN = [
    *("client", "requester", "ticket", "number", "contact", "server", "user", "author", "assignee"),
    *("pk", "id", "filing_key"),
]
# What differs says nothing of her: the token is of his own session, and a form's key is 122 random bits that stood in
# her own page alone; using it again is refused (403), which tells its finder only that it has been used.
NOT_TOLD = {"csrfmiddlewaretoken", "key"}
TAKES = re.compile(r"<(?:int|str|uuid|slug|path):\w+>")
HTMX = {"HX-Request": "true"}
UUID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b")


@pytest.fixture(scope="module")
def twins(django_db_setup, django_db_blocker):
    """The two, in one transaction for all tests of this file: they take longer to make than to be tried."""
    with django_db_blocker.unblock(), transaction.atomic():
        before = {name: _numbering(name) for name in sequences()}
        with time_machine.travel(timezone.now(), tick=False):  # so that no page says "a minute ago" meanwhile
            hers, his = make_twins()
            hers.seen, hers.forms, hers.named = of_hers(hers)
            his.browsers = {role: browser_of(contact) for role, contact in his.people.items()}
            his.pages = Crawled(his.browsers)
            hers.before = hers.fingerprint
            yield hers, his
        with connection.cursor() as cursor:
            for name, (last, called) in before.items():
                cursor.execute("SELECT setval(%s, %s, %s)", [name, last, called])
        transaction.set_rollback(True)


class Crawled(dict):
    """{role: the pages he gets to see}, looked for when they are first asked for."""

    def __init__(self, browsers):
        super().__init__()
        self.browsers = browsers

    def __missing__(self, role):
        self[role] = pages.crawl(self.browsers[role])
        return self[role]


def _numbering(sequence):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT last_value, is_called FROM {sequence}")  # noqa: S608
        return cursor.fetchone()


@pytest.fixture
def db(twins):
    """In place of pytest-django's, which would close the connection under the twins: what a test does is taken back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def hers_and_his(twins, db):
    hers, his = twins
    assert len(hers.values) > 60, "the twins have too little to compare"
    assert hers.client.tickets.values("status").distinct().count() == len(Ticket.Status.values)
    return hers, his


def browser_of(contact):
    browser = Browser(raise_request_exception=False)
    browser.force_login(User.objects.get(pk=contact.user_id))
    return browser


def nobodys(value):
    """The same, of nobody: as long, and of a row that does not exist."""
    value = value.replace(FIRST, NOBODY)
    value = UUID.sub(r"00000000\1", value)
    return re.sub(rf"(?<!\d){str(FIRST_ID)[0]}(\d{{{len(str(FIRST_ID)) - 1}}})(?!\d)", rf"{str(NOBODY_ID)[0]}\1", value)


class Answer:
    """What came back, what it cost, and whether it wrote anything; all of it is taken back."""

    def __init__(self, browser, method, address, hers, **options):
        cookies = browser.cookies.copy()
        with transaction.atomic():
            reset_queries()  # Django keeps the last 9000, and warns
            with CaptureQueriesContext(connection) as asked:
                self.response = getattr(browser, method)(address, **options)
            # When somebody was last seen is written once a while, whatever they ask for.
            self.queries = sum("usersessions_" not in each["sql"] for each in asked)
            wrote = any(WRITES.match(each["sql"]) for each in asked)
            self.changed = wrote and hers.fingerprint != hers.before
            transaction.set_rollback(True)
        browser.cookies = cookies
        self.text = self.response.content.decode(errors="replace") if not self.response.streaming else ""

    @property
    def leaks(self):
        return FIRST in self.text or FIRST in self.response.get("Location", "")

    def looks(self, sent):
        """All that can be seen from outside, without what was sent itself and the next number of his own."""
        seen = pages.at_rest(self.text), re.sub(r"\b2\d{6}\b", "N", self.response.get("Location", ""))
        return self.response.status_code, *(each.replace(sent, "…") for each in seen), self.queries


def tried(browser, hers, method, address, value, *, field="", hint=True, **options):
    """The faults in how this is answered: something of hers read, changed, or seen to be there."""
    sent = dict(options)
    if field:
        sent["data"] = {**options.get("data", {}), field: value}
    echoed = f"{address} {value}"
    answer = Answer(browser, method, address, hers, **sent)
    where = f"{method} {address} {field}={value}"
    faults = [f"reads: {where}"] if answer.leaks and FIRST not in echoed else []
    faults += [f"writes: {where}"] if answer.changed else []
    if hint:
        if field:
            sent["data"] = {**options.get("data", {}), field: nobodys(value)}
        other = Answer(browser, method, nobodys(address), hers, **sent)
        if blank(answer, value) != blank(other, nobodys(value)):
            faults.append(f"hints: {where}: {describe(answer)}, {describe(other)}")
    return faults


def blank(answer, sent):
    return tuple(nobodys(each) if isinstance(each, str) else each for each in answer.looks(sent))


def describe(answer):
    return f"{answer.response.status_code} of {len(answer.text)} after {answer.queries} queries"


def of_hers(twin):
    """Everything her people come to see: addresses, forms, field values, and what their mails say."""
    seen, forms, values = set(), {}, set(twin.values)
    for role in ["owner", "own"]:  # between them they see all there is
        for address, page in pages.crawl(browser_of(twin.people[role]), besides=("/accounts/",)).items():
            seen.update([address, *page.links, *(part for _method, part in page.parts)])
            for form in page.forms:
                forms.setdefault((form.action, form.shape), form)
                values.update(option for each in form.fields for option in [each.value, *each.options])
    people = {each.user.email for each in twin.people.values()}
    for row in Outbox.objects.filter(kind="mail"):
        if people & set(row.payload["to"]):
            links = re.findall(rf"{re.escape(settings.SITE_URL)}(/\S+)", row.payload["text"])
            seen.update(links)
    return sorted(each for each in seen if each), list(forms.values()), sorted(each for each in values if names(each))


def names(value):
    """It names something of hers: an id in her million, her word, or a key."""
    return bool(FIRST in value or UUID.search(value) or re.search(rf"(?<!\d){str(FIRST_ID)[:2]}\d{{5}}(?!\d)", value))


# How many tries of those there are: a sample, or as many as fit into minutes.
REACH = pytest.mark.parametrize(
    "most", [pytest.param(24, id="some"), pytest.param(600, id="many", marks=pytest.mark.long)]
)


@REACH
def test_her_addresses_are_nothing_to_him(hers_and_his, most):
    hers, his = hers_and_his
    theirs = [each for each in hers.seen if names(each)]
    posted = [form for form in hers.forms if names(form.action)]
    assert len(theirs) >= 8
    assert len(posted) >= 8
    tries = [
        *((role, method, each, {}) for role, method, each in product(his.people, ["get", "post"], theirs)),
        *((role, "get", each, {"headers": HTMX}) for role, each in product(his.people, theirs)),
        *((role, "post", form.action, {"data": mine(form)}) for role, form in product(his.people, posted)),
    ]
    faults = []
    for role, method, address, options in sample(tries, most):
        faults += tried(his.browsers[role], hers, method, address, address, **options)
    assert faults == []


@REACH
def test_no_address_takes_an_id_of_hers(hers_and_his, most):
    """Also where nobody of hers was led: every address with an argument, with every kind of id."""
    hers, his = hers_and_his
    taking = [each for each in addresses() if TAKES.search(each) and not each.startswith("admin/")]
    ids = [str(pk) for there in hers.rows.values() for pk in there]
    tries = list(product(his.people, ["get", "post"], taking, ids))
    # A sample too has each address once, asked for one of her tickets.
    each_once = list(product(["owner"], ["get", "post"], taking, [str(hers.client.tickets.first().pk)]))
    faults = []
    for role, method, address, value in [*each_once, *sample(tries, most // 2)]:
        faults += tried(his.browsers[role], hers, method, "/" + TAKES.sub(value, address), value)
    assert faults == []


@REACH
def test_no_query_shows_a_thing_of_hers(hers_and_his, most):
    hers, his = hers_and_his
    values = [*hers.values, *(f"{each.news_at.isoformat()}~{each.number}" for each in hers.client.tickets.all())]
    tries = []
    for role in sample(list(his.people), 2 if most < 100 else 9):
        there = [each for each in his.pages[role] if "?" not in each and "/accounts/" not in each]
        tries += product([role], there, ASKED_BY, values)
    faults = []
    for role, address, name, value in sample(tries, most):
        faults += tried(his.browsers[role], hers, "get", address, value, field=name)
    assert faults == []


@REACH
def test_no_form_of_his_takes_a_value_of_hers(hers_and_his, most):
    hers, his = hers_and_his
    fitting = {
        (each.name, value) for form in hers.forms for each in form.fields for value in each.options if names(value)
    }
    assert any(name == "server" for name, _value in fitting)
    tries, best = [], []
    for role in sample(list(his.people), 2 if most < 100 else 9, "roles"):
        for form in forms_of(his.pages[role]):
            for each in form.fields:
                tries += product([role], [form], [each.name], hers.named)
                best += [(role, form, *fit) for fit in fitting if fit[0] == each.name]
    faults = []
    for role, form, name, value in [*sample(tries, most), *sample(best, most // 4)]:
        facts = {"field": name, "data": mine(form), "hint": name not in NOT_TOLD}
        faults += tried(his.browsers[role], hers, form.method, form.action, value, **facts)
    assert faults == []


@REACH
def test_what_is_slipped_into_a_form_of_his_changes_nothing_of_hers(hers_and_his, most):
    hers, his = hers_and_his
    tries = []
    for role in sample(list(his.people), 2 if most < 100 else 9, "roles"):
        posted = [form for form in forms_of(his.pages[role]) if form.method == "post"]
        tries += product([role], posted, hers.rows.items())
    faults = []
    for role, form, (model, ids) in sample(tries, most):
        data = {**dict.fromkeys(SLIPPED_IN, str(min(ids))), **mine(form)}
        faults += tried(his.browsers[role], hers, "post", form.action, model.__name__, data=data, hint=False)
    assert faults == []


def forms_of(there):
    """One form of each kind that he gets to see; not the one that would log him out."""
    shapes = {form.shape: form for page in there.values() for form in page.forms}
    return [form for form in shapes.values() if not form.action.startswith("/accounts/logout")]


def mine(form):
    """The form filled in with words of one's own, so that it is taken."""
    return form.filled_in(**{each.name: "Mine to say" for each in form.fields if each.kind in {"text", "textarea"}})


@pytest.mark.parametrize("role", ["owner", "own"])
def test_what_she_does_changes_no_page_of_his(hers_and_his, role):
    """No count, list, order or total of his moves with what is hers."""
    hers, his = hers_and_his

    def drawn():
        return {address: pages.at_rest(page.text) for address, page in pages.crawl(his.browsers[role]).items()}

    before = {address: pages.at_rest(page.text) for address, page in his.pages[role].items()}
    assert len(before) >= 8
    person = hers.people["technical"]
    for _ in range(3):
        ticket = actions.file_ticket(person, actions.Filing(subject=f"More {FIRST}", description="More", severity=1))
        actions.reply(ticket, person.user, "Still more")
    Server.objects.create(installation=hers.server.installation, hostname=f"more.{FIRST}.example", cpus=1)
    assert drawn() == before


# The controls: with the guard taken away, the same tries find what is there.


def test_without_the_rule_of_who_sees_what_the_tries_find_leaks(hers_and_his, monkeypatch):
    hers, his = hers_and_his
    theirs = [each for each in hers.seen if re.fullmatch(r"/tickets/\d+/", each)]
    monkeypatch.setattr(TicketQuerySet, "visible_to", lambda tickets, user: tickets)
    browser = browser_of(his.people["owner"])
    faults = [fault for address in theirs for fault in tried(browser, hers, "get", address, address)]
    assert sum(fault.startswith("reads") for fault in faults) == len(theirs) > 5
    assert sum(fault.startswith("hints") for fault in faults) == len(theirs)
    assert tried(browser, hers, "get", "/tickets/", "all", field="show") != []


def test_without_the_choice_of_servers_a_form_is_seen_to_tell_hers(hers_and_his, monkeypatch):
    """The action refuses her server once more by itself; the form's own guard is what keeps it from telling."""
    hers, his = hers_and_his
    monkeypatch.setattr("billing.models.clients.ServerQuerySet.of", lambda servers, client: servers)
    form = next(form for form in forms_of(his.pages["technical"]) if form.action == "/tickets/new/")
    facts = {"data": mine(form) | {"server": ""}}
    faults = tried(his.browsers["technical"], hers, "post", form.action, str(hers.server.pk), field="server", **facts)
    assert [fault.split(":")[0] for fault in faults] == ["hints"]


def test_a_write_to_a_row_of_hers_is_noticed(hers_and_his):
    """Her solved ticket is put into his hands for once, and he confirms it."""
    hers, his = hers_and_his
    ticket = hers.client.tickets.get(status=Ticket.Status.SOLVED)
    address = f"/tickets/{ticket.number}/confirm/"
    Ticket.objects.filter(pk=ticket.pk).update(client=his.client)
    faults = tried(his.browsers["owner"], hers, "post", address, address, hint=False)
    assert [fault.split(":")[0] for fault in faults] == ["writes"]
