"""Whoever does not know whether a form arrived sends it again: what it asks for is done once (G6).

Every address of ours that takes a POST has its example here, or says why it needs none; a new one without fails.
"""

import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test import Client as Browser
from django.urls import URLPattern, get_resolver

from aegir_support.models import Deed, StoredFile
from billing import actions as billing
from members import actions as members
from tests.files.samples import upload
from tests.races.together import at_once
from tests.test_access import table
from tests.tickets.filing import file
from tickets import actions, handout
from tickets.models import Ticket

WORDS = {"body": "Here are the *words*."}
COLLEAGUE = {"email": "kim@riverbank.example", "name": "Kim Poe", "role": "technical", "sees": "all"}
NEEDS_NONE = {
    "tickets/preview/": "changes nothing",
    "-/metrics": "changes nothing",
}
# The way on, or a page that says why nothing was changed.
FRIENDLY = {302, 403, 404, 409, 422}

EXAMPLES = {}
ADDING = []  # addresses where a repeat can be told from a second wish only by the form's key


def example(address, *, adds=False):
    """The decorated function sets the scene and returns who posts what where."""

    def remember(prepare):
        EXAMPLES[address] = prepare
        if adds:
            ADDING.append(address)
        return prepare

    return remember


@example("tickets/new/", adds=True)
def filing(cast, scene):
    words = {"subject": "Verify fails", "description": "Always.", "severity": 3, "channel": "portal"}
    return cast.hal, "/tickets/new/", words


@example("tickets/<int:number>/reply/", adds=True)
def replying(cast, scene):
    return cast.bo, f"/tickets/{scene['number']}/reply/", WORDS


@example("tickets/<int:number>/note/", adds=True)
def noting(cast, scene):
    return cast.bo, f"/tickets/{scene['number']}/note/", WORDS


@example("tickets/<int:number>/verdict/")
def judging(cast, scene):
    return cast.bo, f"/tickets/{scene['number']}/verdict/", {"verdict": "in"}


@example("tickets/<int:number>/solve/", adds=True)
def solving(cast, scene):
    actions.judge(_working(scene), cast.bo.user, "in")
    return cast.bo, f"/tickets/{scene['number']}/solve/", WORDS


@example("tickets/<int:number>/confirm/")
def confirming(cast, scene):
    _solve(cast, scene)
    return cast.hal, f"/tickets/{scene['number']}/confirm/", {}


@example("tickets/<int:number>/reopen/", adds=True)
def reopening(cast, scene):
    _solve(cast, scene)
    return cast.hal, f"/tickets/{scene['number']}/reopen/", WORDS


@example("tickets/<int:number>/withdraw/")
def withdrawing(cast, scene):
    return cast.hal, f"/tickets/{file(cast.hal).number}/withdraw/", {}


@example("tickets/<int:number>/claim/")
def claiming(cast, scene):
    return cast.bo, f"/tickets/{scene['called']}/claim/", {}


@example("tickets/<int:number>/give-back/")
def giving_back(cast, scene):
    return cast.bo, f"/tickets/{scene['number']}/give-back/", {}


@example("tickets/<int:number>/hand-over/", adds=True)
def handing_over(cast, scene):
    return cast.bo, f"/tickets/{scene['number']}/hand-over/", {"to": cast.lima.pk}


@example("tickets/<int:number>/hand-over/withdraw/")
def taking_back(cast, scene):
    handout.hand_over(_working(scene), cast.bo.user, cast.lima)
    return cast.bo, f"/tickets/{scene['number']}/hand-over/withdraw/", {}


@example("offers/<int:pk>/accept/")
def accepting(cast, scene):
    return cast.ana, f"/offers/{scene['pk']}/accept/", {}


@example("offers/<int:pk>/refuse/")
def refusing(cast, scene):
    return cast.ana, f"/offers/{scene['pk']}/refuse/", {"reason": "no time"}


@example("offers/<str:token>/")
def answering_by_mail(cast, scene):
    return None, f"/offers/{scene['token']}/", {"answer": "accept"}


@example("availability/away/")
def going_away(cast, scene):
    return cast.ana, "/availability/away/", {"until": cast.lima.today + timedelta(days=5)}


@example("availability/back/")
def coming_back(cast, scene):
    members.go_away(cast.lima, cast.lima.today + timedelta(days=5))
    return cast.ana, "/availability/back/", {}


@example("contacts/", adds=True)
def inviting(cast, scene):
    return cast.gita, "/contacts/", COLLEAGUE


@example("contacts/<int:pk>/invite/", adds=True)
def inviting_again(cast, scene):
    colleague = billing.invite_contact(cast.gita.user, cast.riverbank, **COLLEAGUE)
    return cast.gita, f"/contacts/{colleague.pk}/invite/", {}


@example("invitations/<int:pk>/again/", adds=True)
def asking_again(cast, scene):
    invitation = billing.ask_in(cast.gita.user, cast.riverbank, **COLLEAGUE)
    return cast.gita, f"/invitations/{invitation.pk}/again/", {}


@example("accounts/sessions/<int:pk>/end/")
def ending_a_session(cast, scene):
    return cast.hal, f"/accounts/sessions/{_elsewhere(cast.hal)}/end/", {}


@example("accounts/sessions/end/")
def ending_sessions(cast, scene):
    _elsewhere(cast.hal)
    return cast.hal, "/accounts/sessions/end/", {}


def _working(scene):
    return Ticket.objects.get(pk=scene["number"])


def _solve(cast, scene):
    actions.judge(_working(scene), cast.bo.user, "in")
    actions.solve(_working(scene), cast.bo.user, "Done.")


def _elsewhere(person):
    """The person is logged in at another browser too: the number of that session."""
    browser = Browser()
    browser.force_login(person.user)
    browser.get("/accounts/sessions/")
    return person.user.usersession_set.latest("pk").pk


# Every address


def views(patterns=None, prefix=""):
    """Each address of the site with its view."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route, pattern.callback
        else:
            yield from views(pattern.url_patterns, route)


def takes_post(address):
    # A visitor is led to log-in before the method is looked at.
    return any(status != 405 for status in table().get(address, {}).get("POST", [])[1:])


def ours():
    """Addresses that somebody may post to, but for allauth's and Django's own."""
    found = {address for address, view in views() if not view.__module__.startswith("allauth.")}
    return {address for address in found if not address.startswith("admin/") and takes_post(address)}


def test_every_address_that_takes_a_post_has_its_example():
    assert ours() == set(EXAMPLES) | set(NEEDS_NONE)


# Twice


class Poster:
    """One person who posts the same form again and again, files and key as they are."""

    def __init__(self, browse, address, cast, scene):
        person, self.path, words = EXAMPLES[address](cast, scene)
        self.browser = browse(person)
        self.form = {**words, "key": str(uuid.uuid4())}
        self.has_file = address in {"tickets/new/", "tickets/<int:number>/reply/"}

    def post(self):
        browser = Browser(raise_request_exception=False)
        browser.cookies = self.browser.cookies.copy()
        files = {"attachments": upload("trace.txt", b"line 1\nline 2\n")} if self.has_file else {}
        return browser.post(self.path, self.form | files)


def rows():
    """Every row of ours, but for what a repeat may change: a refusal on record, and when a file's bytes came last."""
    ours = [model for model in apps.get_models() if model.__module__.partition(".")[0] in APPS]
    found = {model._meta.label: model.objects.values_list() for model in ours}
    found[Deed._meta.label] = (
        Deed.objects.filter(kind__in=["added", "changed", "removed", "exported"])
        .exclude(about=StoredFile._meta.db_table)
        .values_list()
    )
    found[StoredFile._meta.label] = StoredFile.objects.values_list("sha256", "is_kept")
    return {label: sorted(each, key=repr) for label, each in found.items()}


APPS = {"aegir_support", "members", "billing", "tickets", "referrals", "allauth"}


@pytest.mark.django_db
@pytest.mark.parametrize("address", EXAMPLES)
def test_the_same_form_again_changes_nothing(browse, cast, scene, address):
    poster = Poster(browse, address, cast, scene)
    before = rows()
    first = poster.post()
    once = rows()
    second = poster.post()
    assert first.status_code in {302, 200}
    assert once != before
    assert rows() == once
    assert second.status_code in FRIENDLY
    assert second.status_code == 302 or _says_something(second)


def _says_something(response):
    return len(response.content) > 500 and b"<h1" in response.content


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("address", ADDING)
def test_the_same_form_eight_times_at_once_is_done_once(browse, cast, scene, address):
    poster = Poster(browse, address, cast, scene)
    before = counts()
    with transaction.atomic():
        poster.post()
        by_one = counts() - before
        transaction.set_rollback(True)
    connection.close()
    connection.close_pool()  # a fresh one has its eight, whatever other tests still hold
    answers = at_once(*[poster.post] * 8)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert {answer.status_code for answer in answers} <= FRIENDLY
    assert counts() - before == by_one


def counts():
    return Counter({name: len(found) for name, found in rows().items()})


@pytest.mark.django_db(transaction=True)
def test_without_its_key_a_form_is_done_as_often_as_it_is_sent(browse, cast, scene):
    """What the keys are for: the same words under another key are another reply."""
    poster = Poster(browse, "tickets/<int:number>/reply/", cast, scene)
    before = _working(scene).messages.count()
    for _ in range(2):
        poster.form["key"] = str(uuid.uuid4())
        poster.post()
    assert _working(scene).messages.count() == before + 2
