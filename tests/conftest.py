"""The cast by name, as the specification speaks of them (docs/architecture.md)."""

import time
from dataclasses import fields

import pytest
from django.db import connection
from django.test import Client as Browser

from aegir_support import demo
from members.models import User
from tests.files.samples import kept
from tests.tickets.filing import file, offer_of
from tickets import handout
from tickets.emails import offer_token
from tickets.models import Attachment

# Made once for each test database; a test that empties the tables (transaction=True) has the next one make it anew.
_made = {}


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        _let_tables_be_emptied()
        _remember(demo.make_cast())


@pytest.fixture
def cast(request, db):
    found = {name: model.objects.filter(pk=pk).first() for name, (model, pk) in _made.items()}
    if all(found.values()):
        return demo.Cast(**found)
    return demo.make_cast()


@pytest.fixture(autouse=True)
def no_rate_limits(settings):
    """The limits count by address, and every test comes from the same one. Tests of the limits set them again."""
    settings.RATE_LIMITS = False


def _let_tables_be_emptied():
    """A test with transaction=True ends by emptying all tables, which the record of deeds refuses and records."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname IN (%s, %s)",
            ["deed_stays_when_emptied", "deed_of_truncate"],
        )
        for table, trigger in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


def _remember(cast):
    for each in fields(cast):
        who = getattr(cast, each.name)
        _made[each.name] = (type(who), who.pk)


def _one_of(name):
    @pytest.fixture(name=name)
    def who(cast):
        return getattr(cast, name)

    return who


ana, bo, chloe, denis = (_one_of(name) for name in ["ana", "bo", "chloe", "denis"])
edda, finn, cleo, jo = (_one_of(name) for name in ["edda", "finn", "cleo", "jo"])
gita, hal, iris = (_one_of(name) for name in ["gita", "hal", "iris"])
riverbank, dovetail = (_one_of(name) for name in ["riverbank", "dovetail"])
lima, veldwerk, boreal = (_one_of(name) for name in ["lima", "veldwerk", "boreal"])
aegir01, studio01 = (_one_of(name) for name in ["aegir01", "studio01"])


@pytest.fixture
def browse(cast):
    """A logged-in browser for anybody of the cast: `browse(hal).get("/home/")`; nobody for a visitor."""

    def as_(person=None):
        browser = Browser()
        if person is not None:
            # As the row is now: a role given since began a new epoch of sessions.
            user = User.objects.get(pk=getattr(person, "user", person).pk)
            browser.force_login(user)
            is_still_them(browser, user)
        return browser

    return as_


def is_still_them(browser, user):
    """As if they had just answered "Is it still you?"."""
    session = browser.session
    session["account_authentication_methods_user"] = str(user.pk)
    session["account_authentication_methods"] = [{"method": "password", "at": time.time(), "reauthenticated": True}]
    session.save()


@pytest.fixture
def scene(cast):
    """Riverbank's ticket is Bo's work; another of Riverbank's is on offer to Ana; a third is on open call."""
    handout.accept(offer_of(file(cast.hal)), cast.ana)
    working = handout.accept(offer_of(file(cast.hal, files=[kept()])), cast.bo)
    called = file(cast.hal)
    for representative in [cast.denis, cast.ana, cast.bo]:
        handout.refuse(offer_of(called), representative)
    file(cast.hal)
    offer = offer_of(file(cast.hal))
    assert offer.member == cast.lima
    return {
        "number": working.number,
        "called": called.number,
        "contact": cast.hal.pk,
        "pk": offer.pk,
        "token": offer_token(offer, cast.ana),
        "attachment": Attachment.objects.get(message__ticket=working).pk,
    }
