"""G26: whatever somebody does or tries in a browser leaves a deed; what changed is asked of PostgreSQL's own counts."""

import re
from contextlib import contextmanager

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.test import Client as Browser
from django.urls import path
from django.utils import timezone

from aegir_support import deeds
from aegir_support.models import Deed
from members.models import Member
from tests.frame.test_deeds import latest
from tests.test_access import ROLES, addresses, browsers, example
from tests.tickets.filing import file, offer_of
from tests.tickets.test_pages import answer_page, page_of
from tickets.models import Ticket
from tickets.tasks import sweep

pytestmark = pytest.mark.django_db
HAL = "hal@riverbank.example"
RIGHT = "the-river-is-wide"


def touched():
    """How many rows of each recorded table this transaction has written so far, as PostgreSQL counts them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables "
            "WHERE relid IN (SELECT tgrelid FROM pg_trigger WHERE tgname = 'deed_of_update')"
        )
        return dict(cursor.fetchall())


@contextmanager
def watched():
    """What happens inside: the tables whose rows were written, and the deeds that tell of it."""
    before, newest = touched(), Deed.objects.values_list("pk", flat=True).first() or 0
    seen = {"tables": set(), "deeds": []}
    yield seen
    seen["tables"] = {table for table, count in touched().items() if count > before.get(table, 0)}
    seen["deeds"] = list(Deed.objects.filter(pk__gt=newest))


def told(seen, who):
    """Each table written has its deed, and each deed of a change says who, what, in which request and from where."""
    changes = [deed for deed in seen["deeds"] if deed.kind in {"added", "changed", "removed"}]
    facts = {(deed.who, deed.from_where, bool(deed.what), bool(deed.request_id)) for deed in changes}
    return {deed.about for deed in changes} == seen["tables"] and facts <= {(who, "127.0.0.1", True, True)}


def user_of(person):
    return getattr(person, "user", person)


class Story:
    """A post for each thing people do, in an order in which each of them does something."""

    def __init__(self, browse, cast):
        self.browse, self.cast = browse, cast
        self.key = 0

    def post(self, person, address, **said):
        self.key += 1
        said.setdefault("key", f"00000000-0000-4000-8000-{self.key:012}")
        browser = self.browse(person)
        with watched() as seen:
            answer = browser.post(address, said)
        assert answer.status_code in {200, 302}, (address, answer.status_code)
        return address, seen, user_of(person).pk

    def posts(self):
        cast = self.cast
        ana, bo, denis, hal, gita = cast.ana, cast.bo, cast.denis, cast.hal, cast.gita
        filing = {"subject": "Slow", "description": "Everything is slow", "severity": 3, "channel": "portal"}
        yield self.post(hal, "/tickets/new/", **filing)
        ticket = Ticket.objects.first()
        offer = offer_of(ticket)
        yield self.post(ana, f"/offers/{offer.pk}/refuse/", reason="On the road")
        offer = offer_of(ticket)
        taker = next(person for person in [bo, denis] if person.member_id == offer.member_id)
        yield self.post(taker, f"/offers/{offer.pk}/accept/")
        page = page_of(ticket)
        yield self.post(taker, f"{page}reply/", body="We look into it")
        yield self.post(hal, f"{page}reply/", body="Thank you")
        yield self.post(taker, f"{page}note/", body="It is the disk")
        yield self.post(taker, f"{page}hand-over/", to=cast.lima.pk)
        yield self.post(taker, f"{page}hand-over/withdraw/")
        yield self.post(taker, f"{page}verdict/", verdict="in")
        yield self.post(taker, f"{page}solve/", body="It was the disk")
        yield self.post(hal, f"{page}reopen/", body="It is slow again")
        yield self.post(taker, f"{page}solve/", body="Now it is not")
        yield self.post(hal, f"{page}confirm/")
        yield self.post(hal, "/tickets/new/", **filing)
        yield self.post(hal, f"{page_of(Ticket.objects.first())}withdraw/")
        yield self.post(taker, "/availability/away/", until="2999-01-01")
        yield self.post(taker, "/availability/back/")
        invitation = {"name": "Kim Rao", "email": "kim@riverbank.example", "role": "watcher", "sees": "all"}
        yield self.post(gita, "/contacts/", **invitation)


def test_everything_people_do_is_on_record(browse, cast):
    told_of = {}
    for address, seen, who in Story(browse, cast).posts():
        assert seen["tables"], f"{address} did nothing"
        told_of[address] = told(seen, who)
    assert [address for address, is_told in told_of.items() if not is_told] == []


def test_without_the_triggers_nothing_of_it_would_be(browse, cast, hal):
    """The control: it is the triggers that write, and the comparison above that notices."""
    run_on_every_table("DISABLE")
    _address, seen, who = next(Story(browse, cast).posts())
    assert seen["tables"] > {"tickets_ticket"}
    assert not told(seen, who)


def run_on_every_table(able):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE 'deed\\_of\\_%'")
        for table, trigger in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} {able} TRIGGER {trigger}")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


PARTS = sorted({address.split("/")[0] for address in addresses()})


@pytest.mark.parametrize("part", PARTS)
def test_a_post_to_any_address_by_anybody_leaves_a_deed_if_it_changes_or_is_refused(cast, scene, part):
    silent = []
    for role, browser in zip(ROLES, browsers(cast), strict=True):
        who = None if role == "visitor" else user_of(getattr(cast, role)).pk
        for address in addresses():
            if address.split("/")[0] == part:
                silent += [(role, address)] if not post_is_told(browser, example(address, scene), who) else []
    assert silent == []


def post_is_told(browser, address, who):
    cookies = browser.cookies.copy()
    cache.clear()
    with transaction.atomic():
        with watched() as seen:
            answer = browser.post(address)
        transaction.set_rollback(True)
    browser.cookies = cookies
    kinds = {deed.kind for deed in seen["deeds"] if (deed.who, deed.from_where) == (who, "127.0.0.1")}
    names_a_thing = getattr(answer, "resolver_match", None) and answer.resolver_match.kwargs
    if answer.status_code == 403 and "refused" not in kinds:
        return False
    if answer.status_code == 404 and who and names_a_thing and "not_theirs" not in kinds:
        return False
    return not seen["tables"] or told(seen, who)


def test_the_link_in_a_mail_shows_who_answers(hal, ana):
    offer = offer_of(file(hal))
    with watched() as seen:
        assert Browser().post(answer_page(offer, ana), {"answer": "accept"}).status_code == 200
    assert told(seen, ana.user.pk)


def test_what_the_admin_changes_is_the_admins_deed(browse, finn, riverbank):
    grant = {
        "client": riverbank.pk,
        "kind": "staff",
        "tickets": 2,
        "starts_on": timezone.localdate(),
        "ends_on": timezone.localdate() + timezone.timedelta(days=30),
        "reason": "Our own outage",
    }
    browser = browse(finn)
    with watched() as seen:
        assert browser.post("/admin/billing/grant/add/", grant).status_code == 302
    assert told(seen, finn.pk)
    deed = latest("billing_grant", kind="added")
    assert (deed.what, deed.changes["tickets"], deed.changes["reason"]) == ("admin:billing_grant_add", [None, 2], None)


# Coming in


@pytest.fixture
def with_password(hal):
    hal.user.set_password(RIGHT)
    hal.user.save()
    return user_of(hal)


def log_in(email=HAL, password=RIGHT):
    browser = Browser()
    browser.post("/accounts/login/", {"login": email, "password": password})
    return browser


def test_logging_in_and_out_is_on_record(with_password):
    browser = log_in()
    deed = latest("", kind="logged_in")
    assert (deed.who, deed.from_where, deed.what) == (with_password.pk, "127.0.0.1", "account_login")
    browser.post("/accounts/logout/")
    assert latest("", kind="logged_out").who == with_password.pk


def test_a_failed_log_in_names_the_account_and_not_what_was_typed(with_password):
    log_in(password="not-the-password")
    deed = Deed.objects.first()
    assert (deed.kind, deed.who, deed.from_where) == ("log_in_failed", None, "127.0.0.1")
    assert (deed.about, deed.about_pk) == ("members_user", str(with_password.pk))


def test_a_failed_log_in_of_nobody_names_nobody(with_password):
    log_in(email="my-password-in-the-wrong-field@x.example", password="x")
    deed = Deed.objects.first()
    assert (deed.kind, deed.about, deed.about_pk) == ("log_in_failed", "", "")
    assert "wrong-field" not in str(list(Deed.objects.values()))


def test_a_failed_second_factor_is_on_record(with_password):
    TOTP.activate(with_password, generate_totp_secret())
    log_in().post("/accounts/2fa/authenticate/", {"code": "000000"})
    deed = Deed.objects.first()
    assert (deed.kind, deed.about_pk, deed.from_where) == ("second_factor_failed", str(with_password.pk), "127.0.0.1")


def test_taking_the_recovery_codes_home_is_on_record(with_password):
    TOTP.activate(with_password, generate_totp_secret())
    auth = RecoveryCodes.activate(with_password)
    browser = log_in()
    browser.post("/accounts/2fa/authenticate/", {"code": auth.get_unused_codes()[0]})
    browser.post("/accounts/reauthenticate/", {"password": RIGHT})
    assert browser.get("/accounts/2fa/recovery-codes/download/").status_code == 200
    deed = latest("", kind="exported")
    assert (deed.who, deed.what) == (with_password.pk, "mfa_download_recovery_codes")
    assert not re.search(auth.get_unused_codes()[0], str(list(Deed.objects.values())))


# What was tried in vain


def test_a_refusal_is_on_record(browse, hal):
    assert browse(hal).get("/books/").status_code == 403
    deed = Deed.objects.first()
    assert (deed.kind, deed.who, deed.what, deed.from_where) == ("refused", hal.user.pk, "billing:books", "127.0.0.1")


def test_asking_for_what_is_anothers_is_on_record(browse, hal, iris):
    number = file(hal).number
    assert browse(iris).post(f"/tickets/{number}/reply/", {"body": "x"}).status_code == 404
    deed = Deed.objects.first()
    assert (deed.kind, deed.who, deed.what) == ("not_theirs", iris.user.pk, "tickets:reply")
    assert deed.changes == {"method": "POST", "number": number}


def test_a_page_that_is_nowhere_is_no_deed(browse, hal):
    assert browse(hal).get("/nowhere/").status_code == 404
    assert Deed.objects.filter(kind="not_theirs").count() == 0


def test_what_an_address_holds_beside_numbers_stays_out_of_the_record(browse, ana):
    assert browse(ana).get("/offers/a-secret-token/").status_code == 404
    assert "secret" not in str(list(Deed.objects.values()))


def test_a_visitor_is_noted_once_a_minute_at_one_place():
    browser = Browser(enforce_csrf_checks=True)
    cache.clear()
    for _time in range(3):
        assert browser.post("/accounts/login/").status_code == 403
    assert Deed.objects.filter(kind="refused").count() == 1


@transaction.atomic
def breaks_off(request):
    Member.objects.update(country="XX")
    deeds.record("refused", because="inside")
    raise PermissionDenied


urlpatterns = [path("breaks-off/", breaks_off, name="breaks_off")]


@pytest.mark.urls(__name__)
def test_a_failure_stays_when_what_it_broke_off_is_rolled_back(browse, hal):
    assert browse(hal).post("/breaks-off/").status_code == 403
    kept = list(Deed.objects.filter(what="breaks_off"))
    assert [deed.kind for deed in kept] == ["refused", "refused"]
    assert {str(deed.changes) for deed in kept} == {"{'because': 'inside'}", "{'method': 'POST'}"}


# Jobs and commands


def test_a_job_is_the_doer_of_what_it_changes(hal, time_machine):
    offer = offer_of(file(hal))
    time_machine.move_to(offer.answer_by + timezone.timedelta(minutes=1))
    sweep()
    deed = latest("tickets_offer", kind="changed")
    assert (deed.who, deed.what) == (None, "tickets.tasks.sweep")
