"""What a client may use, and that nothing can use it twice (product.md, Tiers 4 and 5)."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from aegir_support import calendars
from billing import entitlements
from billing.actions import grant_pack, start_subscription
from billing.entitlements import ChannelNotIncluded, NothingLeft, entitlement
from billing.models import Channel, Charge, Client, Grant, Pack, Tier

TODAY = calendars.today()


def hold(client, number=1, channel=Channel.PORTAL):
    return entitlements.hold(client, f"ticket:{number}", channel)


def state(number=1):
    return Charge.objects.get(key=f"ticket:{number}").state


def used(grant):
    return Grant.objects.get(pk=grant.pk).used


def use_up(client):
    for number in range(1001, 1001 + entitlement(client).left):
        hold(client, number)


def pack(client, starts_on=TODAY):
    return grant_pack(client, Pack.objects.get(code="pack-1"), starts_on=starts_on)


def given(client, finn, *, tickets=1, days=30):
    return Grant.objects.create(
        client=client, kind="staff", tickets=tickets, ends_on=TODAY + timedelta(days), given_by=finn, reason="Good will"
    )


@pytest.fixture
def grant(riverbank):
    return riverbank.grants.get()


@pytest.fixture
def unlimited(riverbank):
    """A client whose tier has no limit."""
    client = Client.objects.create(name="Northgate", country="US", currency="USD", calendar=riverbank.calendar)
    premium = Tier.objects.on_sale().get(code="premium")
    start_subscription(client, premium, cpus=1, starts_on=TODAY, ends_on=TODAY + timedelta(365))
    return client


# What there is


def test_a_tier_brings_its_tickets_for_each_cpu(riverbank):
    assert (entitlement(riverbank).left, entitlement(riverbank).total) == (40, 40)


def test_what_is_left_is_said_in_words(riverbank, dovetail):
    hold(riverbank)
    assert entitlement(riverbank).sentence == "39 of 40 tickets left"


def test_one_ticket_is_said_in_the_singular(dovetail):
    Grant.objects.filter(client=dovetail).update(tickets=1)
    assert entitlement(dovetail).sentence == "1 of 1 ticket left"


def test_without_a_subscription_there_is_nothing(riverbank):
    has = entitlement(riverbank, riverbank.subscriptions.get().ends_on)
    assert (has.subscription, has.grants, has.left, has.channels, has.may_file) == (None, [], 0, [], False)
    assert has.sentence == "No subscription in force"


def test_a_term_covers_its_first_day_and_not_the_day_it_ends_on(riverbank):
    term = riverbank.subscriptions.get()
    assert not entitlement(riverbank, term.starts_on - timedelta(1)).may_file
    assert entitlement(riverbank, term.starts_on).may_file
    assert entitlement(riverbank, term.ends_on - timedelta(1)).may_file
    assert not entitlement(riverbank, term.ends_on).may_file


def test_an_unlimited_tier_never_runs_out(unlimited):
    for number in range(50):
        hold(unlimited, number)
    has = entitlement(unlimited)
    assert (has.left, has.total, has.used, has.may_file) == (None, None, 50, True)
    assert has.sentence == "Unlimited tickets, fair use"


def test_the_forum_tier_has_no_private_tickets(unlimited):
    unlimited.subscriptions.update(tier=Tier.objects.get(code="community"))
    assert not entitlement(unlimited).may_file


def test_it_asks_the_database_twice(riverbank, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert entitlement(riverbank).sentence


# Holding, charging, releasing


def test_filing_holds_one(riverbank, grant):
    assert hold(riverbank).state == Charge.State.HELD
    assert used(grant) == 1


def test_the_same_work_holds_once(riverbank, grant):
    assert hold(riverbank) == hold(riverbank)
    assert used(grant) == 1


def test_in_scope_charges_what_is_held(riverbank, grant):
    hold(riverbank)
    entitlements.charge(riverbank, "ticket:1")
    assert (state(), used(grant)) == (Charge.State.CHARGED, 1)


def test_charging_again_changes_nothing(riverbank):
    hold(riverbank)
    entitlements.charge(riverbank, "ticket:1")
    decided_at = Charge.objects.get().decided_at
    entitlements.charge(riverbank, "ticket:1")
    assert Charge.objects.get().decided_at == decided_at


def test_released_goes_back_with_its_reason(riverbank, grant):
    hold(riverbank)
    entitlements.release(riverbank, "ticket:1", "defect")
    released = Charge.objects.get()
    assert (released.state, released.reason, used(grant)) == (Charge.State.RELEASED, "defect", 0)
    assert released.decided_at is not None


def test_a_verdict_may_change_from_charged_to_released_and_back(riverbank, grant):
    hold(riverbank)
    for _ in range(3):
        entitlements.charge(riverbank, "ticket:1")
        assert used(grant) == 1
        entitlements.release(riverbank, "ticket:1", "out")
        assert used(grant) == 0


def test_charging_after_a_release_forgets_the_reason(riverbank):
    hold(riverbank)
    entitlements.release(riverbank, "ticket:1", "out")
    entitlements.charge(riverbank, "ticket:1")
    assert Charge.objects.get().reason == ""


def test_charging_after_a_release_takes_another_grant_when_the_first_is_used_up(dovetail):
    hold(dovetail)
    entitlements.release(dovetail, "ticket:1", "out")
    use_up(dovetail)
    extra = pack(dovetail)
    entitlements.charge(dovetail, "ticket:1")
    assert Charge.objects.get(key="ticket:1").grant == extra


def test_charging_after_a_release_fails_when_nothing_is_left(dovetail):
    hold(dovetail)
    entitlements.release(dovetail, "ticket:1", "out")
    use_up(dovetail)
    with pytest.raises(NothingLeft):
        entitlements.charge(dovetail, "ticket:1")
    assert state() == Charge.State.RELEASED


def test_holding_again_after_a_release_holds_anew(riverbank, grant):
    hold(riverbank)
    entitlements.release(riverbank, "ticket:1", "withdrawn")
    again = hold(riverbank)
    assert (again.state, again.reason, again.decided_at, used(grant)) == (Charge.State.HELD, "", None, 1)


def test_releasing_what_was_never_held_changes_nothing(riverbank, grant):
    entitlements.release(riverbank, "ticket:404", "out")
    assert not Charge.objects.exists()


def test_nothing_left_is_refused(dovetail):
    use_up(dovetail)
    with pytest.raises(NothingLeft):
        hold(dovetail)
    assert not Charge.objects.filter(key="ticket:1").exists()


def test_who_holds_the_last_ticket_keeps_it(dovetail):
    use_up(dovetail)
    assert hold(dovetail, 1001).state == Charge.State.HELD


def test_without_a_subscription_nothing_is_held(riverbank):
    pack(riverbank)
    riverbank.grants.filter(kind="term").delete()
    riverbank.subscriptions.all().delete()
    with pytest.raises(NothingLeft):
        hold(riverbank)


def test_a_channel_the_tier_does_not_have_is_refused(dovetail):
    with pytest.raises(ChannelNotIncluded):
        hold(dovetail, channel=Channel.SSH)
    assert not Charge.objects.exists()


# Which grant is used first


def test_included_tickets_go_first_then_packs_then_what_staff_gave(dovetail, finn):
    gift, extra, term = given(dovetail, finn), pack(dovetail), dovetail.grants.get(kind="term")
    taken = [hold(dovetail, number).grant for number in range(5)]
    assert taken == [term, term, term, extra, gift]


def test_of_two_packs_the_one_that_ends_sooner_goes_first(dovetail):
    later, sooner = pack(dovetail), pack(dovetail, starts_on=TODAY - timedelta(60))
    use_up_term(dovetail)
    assert [hold(dovetail, number).grant for number in range(2)] == [sooner, later]


def test_a_pack_that_has_ended_or_not_begun_is_not_used(dovetail):
    pack(dovetail, starts_on=TODAY - timedelta(400))
    pack(dovetail, starts_on=TODAY + timedelta(1))
    use_up_term(dovetail)
    with pytest.raises(NothingLeft):
        hold(dovetail)


def test_another_clients_pack_is_not_used(dovetail, riverbank):
    pack(riverbank)
    use_up_term(dovetail)
    with pytest.raises(NothingLeft):
        hold(dovetail)


def use_up_term(client):
    for number in range(2001, 2004):
        hold(client, number)


# The last wall: what the database keeps, whoever writes


def sql(statement):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_used_is_what_the_charges_say_whoever_writes_them(riverbank, grant, dovetail):
    for number in range(3):
        hold(riverbank, number)
    other = dovetail.grants.get()
    sql("UPDATE billing_charge SET state = 'released', decided_at = now() WHERE key = 'ticket:0'")
    assert used(grant) == 2
    Charge.objects.filter(key="ticket:1").update(grant=other)
    assert (used(grant), used(other)) == (1, 1)
    sql("DELETE FROM billing_charge WHERE key = 'ticket:2'")
    assert (used(grant), used(other)) == (0, 1)


def test_a_charge_too_many_is_refused_even_past_our_code(dovetail):
    use_up(dovetail)
    with pytest.raises(IntegrityError, match="grant_never_overdrawn"), transaction.atomic():
        Charge.objects.create(grant=dovetail.grants.get(), key="ticket:9")


INVITE = (
    "INSERT INTO billing_invitation (client_id, email, name, role, sees, by_id, invited_at)"
    " SELECT client_id, 'kim@riverbank.example', 'Kim', '{role}', '{sees}', user_id, now()"
    " FROM (SELECT * FROM billing_contact LIMIT 1) AS contact, generate_series(1, {times})"
)
BROKEN = {
    "tier_version_once": "UPDATE billing_tier SET code = 'basic', on_sale = false WHERE code = 'standard'",
    "tier_one_version_on_sale": "UPDATE billing_tier SET code = 'basic', version = 2 WHERE code = 'standard'",
    "tier_message_holds_its_largest_file": "UPDATE billing_tier SET message_mb = file_mb - 1",
    "promise_one_per_severity": "UPDATE billing_promise SET severity = 1",
    "promise_takes_some_time": "UPDATE billing_promise SET amount = 0",
    "promise_unit_is_known": "UPDATE billing_promise SET unit = 'w'",
    "pack_version_once": "UPDATE billing_pack SET code = 'pack-1', on_sale = false WHERE code = 'pack-3'",
    "pack_one_version_on_sale": "UPDATE billing_pack SET code = 'pack-1', version = 2 WHERE code = 'pack-3'",
    "pack_holds_tickets": "UPDATE billing_pack SET tickets = 0",
    "price_of_a_tier_or_a_pack": "UPDATE billing_price SET tier_id = NULL, pack_id = NULL",
    "price_of_a_tier_once": "UPDATE billing_price SET currency = 'USD' WHERE tier_id IS NOT NULL",
    "price_of_a_pack_once": "UPDATE billing_price SET currency = 'USD' WHERE pack_id IS NOT NULL",
    "price_currency_is_a_code": "UPDATE billing_price SET currency = 'eur' WHERE currency = 'EUR'",
    "client_currency_is_a_code": "UPDATE billing_client SET currency = 'eur'",
    "contact_role_is_known": "UPDATE billing_contact SET role = 'boss'",
    "contact_sees_all_or_own": "UPDATE billing_contact SET sees = 'none'",
    "invitation_once_for_an_address": INVITE.format(role="technical", sees="all", times=2),
    "invitation_role_is_known": INVITE.format(role="boss", sees="all", times=1),
    "invitation_sees_all_or_own": INVITE.format(role="technical", sees="none", times=1),
    "installation_name_once_per_client": (
        "INSERT INTO billing_installation (client_id, name, aegir_version, operating_system)"
        " SELECT client_id, name, '', '' FROM billing_installation"
    ),
    "server_has_a_cpu": "UPDATE billing_server SET cpus = 0",
    "subscription_ends_after_it_starts": "UPDATE billing_subscription SET ends_on = starts_on",
    "subscription_covers_a_cpu": "UPDATE billing_subscription SET cpus = 0",
    "subscription_one_at_a_time": (
        "INSERT INTO billing_subscription (client_id, tier_id, cpus, starts_on, ends_on)"
        " SELECT client_id, tier_id, 1, ends_on - 1, ends_on + 1 FROM billing_subscription"
    ),
    "grant_never_overdrawn": "UPDATE billing_grant SET used = tickets + 1",
    "grant_ends_after_it_starts": "UPDATE billing_grant SET ends_on = starts_on",
    "grant_of_a_term_has_its_subscription": "UPDATE billing_grant SET kind = 'pack'",
    "grant_by_staff_is_named_and_reasoned": "UPDATE billing_grant SET kind = 'staff', subscription_id = NULL",
    "charge_state_is_known": "UPDATE billing_charge SET state = 'lost', decided_at = now()",
    "charge_is_held_until_decided": "UPDATE billing_charge SET state = 'charged'",
}


@pytest.mark.parametrize(("name", "statement"), BROKEN.items(), ids=BROKEN)
def test_the_database_refuses_what_must_never_be_so(riverbank, name, statement):
    hold(riverbank)
    with pytest.raises(IntegrityError, match=f'"{name}"'):
        sql(statement)


def test_each_named_constraint_of_billing_is_tried():
    models = apps.get_app_config("billing").get_models()
    assert {constraint.name for model in models for constraint in model._meta.constraints} == set(BROKEN)


def test_the_day_a_term_ends_on_may_be_the_first_of_the_next(riverbank):
    term = riverbank.subscriptions.get()
    start_subscription(riverbank, term.tier, cpus=4, starts_on=term.ends_on, ends_on=term.ends_on + timedelta(365))
    assert riverbank.subscriptions.count() == 2
