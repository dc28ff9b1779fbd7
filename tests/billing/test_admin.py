"""What admins change of what is sold, and what they cannot (Tiers 2)."""

import pytest
from django.urls import reverse

from billing import actions
from billing.models import Price, Promise, Tier
from tests.tickets.filing import file
from tickets.models import Ticket

SEVERITIES = [1, 2, 3, 4]


@pytest.fixture
def standard(riverbank):
    """Riverbank's tier."""
    return riverbank.subscriptions.get().tier


@pytest.fixture
def premium(cast):
    """A tier nobody has."""
    return Tier.objects.get(code="premium")


def words(page):
    return " ".join(page.content.decode().split())


def page_of(tier):
    return reverse("admin:billing_tier_change", args=[tier.pk])


def form_of(tier, *, severities=SEVERITIES, **facts):
    """The admin's form for this tier, as a browser sends it."""
    promises = list(tier.promises.filter(severity__in=severities)) if tier.pk else []
    form = {
        **{name: getattr(tier, name) for name in ["code", "version", "name", "summary", "price_basis", "channels"]},
        **{
            name: getattr(tier, name) for name in ["contacts", "position", "files_per_message", "file_mb", "message_mb"]
        },
        "tickets_per_cpu": "" if tier.tickets_per_cpu is None else tier.tickets_per_cpu,
        "on_sale": "on" if tier.on_sale else "",
        "promises-TOTAL_FORMS": 4,
        "promises-INITIAL_FORMS": len(promises),
        "prices-TOTAL_FORMS": 0,
        "prices-INITIAL_FORMS": 0,
    }
    for place in range(4):
        known = promises[place] if place < len(promises) else None
        form |= {
            f"promises-{place}-id": known.pk if known else "",
            f"promises-{place}-tier": tier.pk or "",
            f"promises-{place}-severity": known.severity if known else severities[place] if not tier.pk else "",
            f"promises-{place}-amount": known.amount if known else 1 if not tier.pk else "",
            f"promises-{place}-unit": known.unit if known else "bd" if not tier.pk else "",
        }
    return form | facts


def terms_of(tier):
    promised = list(tier.promises.values_list("severity", "amount", "unit"))
    return tier.channels, tier.tickets_per_cpu, tier.contacts, promised


# A version in use


def test_a_version_in_use_is_shown_and_its_terms_are_no_fields(browse, finn, standard):
    page = browse(finn).get(page_of(standard)).content.decode()
    for name in ["tickets_per_cpu", "channels", "promises-0-amount", "prices-0-amount_cents"]:
        assert f'name="{name}"' not in page
    for name in ["on_sale", "summary", "position"]:
        assert f'name="{name}"' in page


def test_a_running_term_keeps_what_it_was_bought_with(browse, finn, standard):
    before = terms_of(standard)
    promise = standard.promises.get(severity=1)
    change = {"channels": ["forum"], "tickets_per_cpu": 1, "contacts": 9, "promises-0-amount": 99}
    answer = browse(finn).post(page_of(standard), form_of(standard, **change))
    assert answer.status_code == 302
    assert terms_of(Tier.objects.get(pk=standard.pk)) == before
    assert Promise.objects.get(pk=promise.pk).amount == promise.amount


def test_a_running_term_keeps_its_promises_and_prices(browse, finn, standard):
    price, promise = standard.prices.first(), standard.promises.first()
    change = {
        "prices-TOTAL_FORMS": 1,
        "prices-INITIAL_FORMS": 1,
        "prices-0-id": price.pk,
        "prices-0-tier": standard.pk,
        "prices-0-currency": price.currency,
        "prices-0-amount_cents": 1,
        "prices-0-DELETE": "on",
        "promises-0-DELETE": "on",
    }
    browse(finn).post(page_of(standard), form_of(standard, **change))
    assert Price.objects.get(pk=price.pk).amount_cents == price.amount_cents
    assert Promise.objects.filter(pk=promise.pk).exists()


def test_a_version_in_use_can_still_be_taken_off_sale(browse, finn, standard):
    change = {"on_sale": "", "summary": "For those who stay", "position": 7}
    assert browse(finn).post(page_of(standard), form_of(standard, **change)).status_code == 302
    standard.refresh_from_db()
    assert (standard.on_sale, standard.summary, standard.position) == (False, "For those who stay", 7)


def test_a_version_nobody_has_may_change(browse, finn, premium):
    change = {"contacts": 9, "promises-0-amount": 3}
    assert browse(finn).post(page_of(premium), form_of(premium, **change)).status_code == 302
    premium.refresh_from_db()
    assert (premium.contacts, premium.promises.get(severity=1).amount) == (9, 3)


# A new version


def test_a_change_makes_a_new_version(standard, riverbank):
    old = terms_of(standard)
    prices = list(standard.prices.values_list("currency", "amount_cents"))
    new = actions.new_version(standard)
    assert (new.code, new.version, new.on_sale) == (standard.code, 2, True)
    assert terms_of(new) == old
    assert list(new.prices.values_list("currency", "amount_cents")) == prices
    standard.refresh_from_db()
    assert not standard.on_sale
    assert riverbank.subscriptions.get().tier == standard


def test_a_new_version_of_an_older_one_follows_the_newest(standard):
    newest = actions.new_version(standard)
    standard.refresh_from_db()
    third = actions.new_version(standard)
    assert (third.version, third.on_sale) == (3, False)
    assert Tier.objects.on_sale().get(code="standard") == newest


def test_an_admin_makes_a_new_version(browse, finn, standard):
    chosen = {"action": "make_new_version", "_selected_action": [standard.pk]}
    page = browse(finn).post(reverse("admin:billing_tier_changelist"), chosen, follow=True)
    assert "Version 2 of Standard is made" in words(page)
    new = Tier.objects.get(code="standard", version=2)
    assert browse(finn).post(page_of(new), form_of(new, contacts=9)).status_code == 302
    assert Tier.objects.get(pk=new.pk).contacts == 9


# Promises


def test_a_tier_promises_for_every_severity(browse, finn, premium):
    premium.promises.filter(severity=2).delete()
    page = browse(finn).post(page_of(premium), form_of(premium))
    assert page.status_code == 200
    assert "This field is required." in words(page)
    form = form_of(premium, severities=[1, 3, 4])
    form |= {"promises-3-severity": 2, "promises-3-amount": 6, "promises-3-unit": "bh"}
    assert browse(finn).post(page_of(premium), form).status_code == 302
    assert premium.promises.get(severity=2).amount == 6


def test_a_promise_is_not_taken_away(browse, finn, premium):
    page = browse(finn).post(page_of(premium), form_of(premium, **{"promises-1-DELETE": "on"}))
    assert "Promise a first response for each of the four severities." in words(page)
    assert premium.promises.count() == 4


def test_a_new_tier_is_asked_for_its_four_promises_by_name(browse, finn):
    address = reverse("admin:billing_tier_add")
    page = browse(finn).get(address).content.decode()
    for place, severity in enumerate(SEVERITIES):
        chosen = page.split(f'name="promises-{place}-severity"')[1].split("</select>")[0]
        assert f'<option value="{severity}" selected>' in chosen
    tier = Tier(code="small", name="Small", summary="One", price_basis="flat", channels=["forum"], tickets_per_cpu=1)
    assert browse(finn).post(address, form_of(tier)).status_code == 302
    assert Tier.objects.get(code="small").promises.count() == 4


@pytest.mark.parametrize(
    ("gap", "filed", "as_promised_for"), [([1], 1, 2), ([2, 3], 2, 4), ([4], 4, 3), ([3, 4], 3, 2)]
)
def test_in_a_gap_the_next_lighter_promise_holds(browse, hal, standard, gap, filed, as_promised_for):
    promise = standard.promises.get(severity=as_promised_for)
    standard.promises.filter(severity__in=gap).delete()
    assert f"First response within {promise}." in words(browse(hal).get("/tickets/new/"))
    ticket, other = file(hal, severity=filed), file(hal, severity=as_promised_for)
    waits = [each.first_response_by - each.filed_at for each in [ticket, other]]
    assert abs(waits[0] - waits[1]).total_seconds() < 5
    assert Ticket.objects.count() == 2
