from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError

from aegir_support import calendars
from aegir_support.models import Outbox
from billing import actions
from billing.models import Contact, Grant, Pack, Tier
from members.actions import AlreadyHere
from members.models import User

TODAY = calendars.today()


def invite(by, **facts):
    facts = {"email": "kim@riverbank.example", "name": "Kim Rao", "role": Contact.Role.TECHNICAL, **facts}
    return actions.invite_contact(by.user, by.client, **facts)


def test_a_term_brings_the_grant_of_its_tickets(riverbank):
    term = riverbank.subscriptions.get()
    grant = term.grant
    assert (grant.tickets, grant.kind, grant.client) == (40, Grant.Kind.TERM, riverbank)
    assert (grant.starts_on, grant.ends_on) == (term.starts_on, term.ends_on)


def test_a_term_brings_its_grant_once(riverbank):
    term = riverbank.subscriptions.get()
    assert actions.grant_term(term) == actions.grant_term(term)
    assert riverbank.grants.count() == 1


def test_a_second_term_in_the_same_days_is_refused_with_a_sentence(riverbank):
    basic = Tier.objects.on_sale().get(code="basic")
    with pytest.raises(ValidationError, match="already has a subscription in those days"):
        actions.start_subscription(riverbank, basic, cpus=1, starts_on=TODAY, ends_on=TODAY + timedelta(30))
    assert riverbank.subscriptions.count() == 1


def test_a_term_that_ends_before_it_starts_is_refused(riverbank):
    basic = Tier.objects.on_sale().get(code="basic")
    after = riverbank.subscriptions.get().ends_on + timedelta(10)
    with pytest.raises(ValidationError, match="A term ends after it starts"):
        actions.start_subscription(riverbank, basic, cpus=1, starts_on=after, ends_on=after - timedelta(1))


def test_a_pack_lives_its_months(dovetail):
    grant = actions.grant_pack(dovetail, Pack.objects.get(code="pack-5"), starts_on=date(2027, 2, 10))
    assert (grant.tickets, grant.ends_on) == (5, date(2028, 2, 10))


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2027, 1, 31), 1, date(2027, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2027, 11, 30), 3, date(2028, 2, 29)),
        (date(2027, 12, 15), 12, date(2028, 12, 15)),
    ],
)
def test_months_later_is_the_same_day_or_the_months_last(day, months, later):
    assert actions.months_later(day, months) == later


def test_the_owner_brings_in_a_colleague_who_gets_a_link(gita, riverbank):
    contact = invite(gita)
    assert (contact.client, contact.user.email, contact.may_file) == (riverbank, "kim@riverbank.example", True)
    assert not contact.user.has_usable_password()
    mail = Outbox.objects.get(key__startswith="invitation:")
    assert mail.payload["to"] == ["kim@riverbank.example"]


def test_a_colleague_keeps_the_owners_hours(gita):
    assert invite(gita).user.time_zone == gita.user.time_zone


def test_only_the_owner_brings_in_people(hal):
    with pytest.raises(actions.NotAllowed):
        invite(hal)
    assert not User.objects.filter(email="kim@riverbank.example").exists()


def test_the_owner_of_one_client_brings_nobody_into_another(iris, riverbank):
    with pytest.raises(actions.NotAllowed):
        actions.invite_contact(iris.user, riverbank, email="kim@riverbank.example", name="Kim", role="technical")


def test_an_address_that_is_taken_is_refused_in_any_case(gita):
    with pytest.raises(AlreadyHere):
        invite(gita, email="Iris@Dovetail.example")
    assert not Outbox.objects.filter(key__startswith="invitation:").exists()


def test_a_watcher_reads_and_does_not_file(gita):
    assert not invite(gita, role=Contact.Role.WATCHER).may_file
