"""What billing shows, and to whom."""

import csv
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.template.loader import render_to_string
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from aegir_support import calendars, outbox
from aegir_support.models import Outbox
from aegir_support.money import format_money
from billing import entitlements, panels
from billing.actions import grant_pack, grant_term, start_subscription
from billing.models import Charge, Client, Contact, Grant, Installation, Pack, Price, Server, Subscription, Tier
from members.models import User
from referrals import panels as referral_panels
from tests.tickets.filing import file
from tickets.page import RELEASED_BECAUSE

TODAY = calendars.today()
CLIENT_PAGES = ["subscription", "servers", "contacts"]


def words(response):
    return " ".join(response.content.decode().split())


def queries(browser, address):
    browser.get(address)  # the first look may fill caches
    with CaptureQueriesContext(connection) as asked:
        assert browser.get(address).status_code == 200
    return len(asked)


# The price page


@pytest.mark.parametrize("currency", ["USD", "CAD", "EUR"])
def test_the_price_page_shows_every_published_price(browse, currency):
    page = words(browse().get(reverse("billing:pricing"), {"currency": currency}))
    with (Path(settings.BASE_DIR) / "data" / "prices.csv").open(newline="", encoding="utf-8") as file:
        prices = [int(row["price_cents"]) for row in csv.DictReader(file) if row["currency"] == currency]
    assert len(prices) == 9
    for cents in prices:
        assert format_money(cents, currency) in page


def test_the_price_page_compares_what_each_tier_promises(browse):
    page = words(browse().get(reverse("billing:pricing")))
    for tier in Tier.objects.on_sale():
        assert tier.name in page
        for promise in tier.promises.all():
            assert str(promise) in page
    assert "10 per CPU and year" in page
    assert "Unlimited, fair use" in page


def test_the_price_page_says_where_the_money_goes(browse):
    page = words(browse().get(reverse("billing:pricing")))
    for share in ["70 %", "20 %", "10 %"]:
        assert share in page


def test_currencies_are_those_on_sale(browse):
    Price.objects.filter(currency="USD").delete()
    Price.objects.create(tier=Tier.objects.get(code="premium"), currency="SEK", amount_cents=100)
    Tier.objects.filter(code="premium").update(on_sale=False)
    page = words(browse().get(reverse("billing:pricing")))
    assert re.findall(r'href="\?currency=(\w+)"', page) == ["CAD", "EUR"]
    assert '<a href="?currency=CAD" aria-current="page">' in page


@pytest.mark.parametrize("currency", ["", "XXX", "eur", "<script>", "USD\0"])
def test_a_currency_we_do_not_sell_in_shows_the_first(browse, currency):
    page = words(browse().get(reverse("billing:pricing"), {"currency": currency}))
    assert '<a href="?currency=USD" aria-current="page">USD</a>' in page


def test_a_tier_that_is_not_sold_in_a_currency_says_so(browse):
    Tier.objects.get(code="premium").prices.filter(currency="EUR").delete()
    assert "not sold in EUR" in words(browse().get(reverse("billing:pricing"), {"currency": "EUR"}))


def test_a_tier_off_sale_is_not_shown(browse):
    Tier.objects.filter(code="premium").update(on_sale=False)
    assert "Premium" not in words(browse().get(reverse("billing:pricing")))


def test_an_empty_price_list_is_said_kindly(browse):
    Tier.objects.update(on_sale=False)
    Pack.objects.update(on_sale=False)
    assert "No tier is on sale yet" in words(browse().get(reverse("billing:pricing")))


def test_the_price_page_costs_the_same_with_more_tiers(browse):
    Tier.objects.exclude(code="basic").update(on_sale=False)
    one = queries(browse(), reverse("billing:pricing"))
    Tier.objects.update(on_sale=True)
    assert queries(browse(), reverse("billing:pricing")) == one


# A client's own pages


@pytest.mark.parametrize("page", CLIENT_PAGES)
def test_a_contact_sees_their_clients_pages(browse, hal, page):
    assert browse(hal).get(reverse(f"billing:{page}")).status_code == 200


@pytest.mark.parametrize("page", CLIENT_PAGES)
@pytest.mark.parametrize("who", ["ana", "chloe", "edda", "finn", "jo", "cleo"])
def test_whoever_is_no_contact_finds_no_such_page(browse, cast, page, who):
    assert browse(getattr(cast, who)).get(reverse(f"billing:{page}")).status_code == 404


@pytest.mark.parametrize("page", [*CLIENT_PAGES, "books"])
def test_a_visitor_is_asked_to_log_in(browse, page):
    answer = browse().get(reverse(f"billing:{page}"))
    assert (answer.status_code, answer.url.split("?")[0]) == (302, reverse("account_login"))


def test_the_subscription_says_first_what_is_left(browse, hal, riverbank):
    file(hal)
    ends_on = riverbank.subscriptions.get().ends_on
    page = words(browse(hal).get(reverse("billing:subscription")))
    assert f"<h1>39 of 40 tickets left until {ends_on:%-d %B %Y} </h1>" in page


def test_with_a_pack_each_grant_says_its_own_end(browse, iris, dovetail):
    extra = grant_pack(dovetail, Pack.objects.get(code="pack-3"), starts_on=TODAY)
    page = words(browse(iris).get(reverse("billing:subscription")))
    assert "<h1>6 of 6 tickets left </h1>" in page
    assert f"Pack, until {extra.ends_on:%-d %B %Y}" in page


def test_a_released_ticket_says_why_in_plain_words(browse, hal, riverbank):
    ticket = file(hal)
    entitlements.release(riverbank, ticket.charge_key, "out")
    page = words(browse(hal).get(reverse("billing:subscription")))
    assert "it is outside what your tier covers" in page
    assert f"#{ticket.number}" in page
    assert "ticket:" not in page


@pytest.mark.parametrize("reason", ["out", "defect", "wish", "question", "duplicate", "withdrawn", "Paid twice"])
def test_every_reason_is_said(reason):
    said = render_to_string("billing/_reason.html", {"reason": reason}).strip()
    assert len(said) >= 6
    assert said not in {"defect", "question", "duplicate"}


@pytest.mark.parametrize(("reason", "because"), RELEASED_BECAUSE.items())
def test_a_reason_is_said_as_on_its_ticket(reason, because):
    assert render_to_string("billing/_reason.html", {"reason": reason}).strip() == str(because)


def test_at_nothing_left_the_ways_on_are_said(browse, iris, dovetail):
    for _ in range(3):
        file(iris)
    page = words(browse(iris).get(reverse("billing:subscription")))
    assert "0 of 3 tickets left" in page
    assert f'<a href="{settings.FORUM_URL}">The forum</a> costs no ticket.' in page
    ends_on = dovetail.subscriptions.get().ends_on
    assert f"Your term ends on {ends_on:%-d %B %Y}. The next one brings new tickets, once it is bought." in page


def test_at_nothing_left_the_next_term_is_said_once_it_is_entered(browse, iris, dovetail):
    for _ in range(3):
        file(iris)
    term = dovetail.subscriptions.get()
    start_subscription(dovetail, term.tier, cpus=1, starts_on=term.ends_on, ends_on=term.ends_on + timedelta(days=30))
    page = words(browse(iris).get(reverse("billing:subscription")))
    assert f"Your next term, Basic, begins on {term.ends_on:%-d %B %Y}." in page


def test_whoever_sees_only_their_own_reads_numbers_alone(browse, gita, hal, riverbank):
    Contact.objects.filter(pk=hal.pk).update(sees=Contact.Sees.OWN)
    held, charged, released = (file(who) for who in [gita, hal, gita])
    entitlements.charge(riverbank, charged.charge_key)
    entitlements.release(riverbank, released.charge_key, "defect")
    page = words(browse(hal).get(reverse("billing:subscription")))
    for ticket in [held, charged, released]:
        assert f"#{ticket.number}" not in page
    assert "defect of the product" not in page
    for label in ["Charged", "Held, not decided", "Released"]:
        assert label in page
    assert "these are the numbers of all" in page
    assert "these are the numbers of all" not in words(browse(gita).get(reverse("billing:subscription")))


def test_without_a_subscription_the_page_says_what_still_holds(browse, hal, riverbank):
    riverbank.grants.all().delete()
    riverbank.subscriptions.all().delete()
    page = words(browse(hal).get(reverse("billing:subscription")))
    assert "No subscription in force" in page
    assert "No ticket has used anything yet" in page


def test_a_client_does_not_see_another_clients_charges(browse, hal, iris):
    ticket = file(iris)
    assert f"#{ticket.number}" not in words(browse(hal).get(reverse("billing:subscription")))


def test_the_servers_page_lists_servers_by_installation(browse, hal):
    page = words(browse(hal).get(reverse("billing:servers")))
    assert "Your servers have 4 of the 4 CPUs that your subscription covers" in page
    for name in ["Library platform", "aegir01.riverbank.example", "aegir02.riverbank.example", "Debian 12"]:
        assert name in page
    assert "web.dovetail.example" not in page


def test_more_cpus_than_covered_are_said(browse, hal, aegir01):
    Server.objects.create(installation=aegir01.installation, hostname="aegir03.riverbank.example", cpus=2)
    assert "More CPUs than the subscription covers" in words(browse(hal).get(reverse("billing:servers")))


def test_no_server_yet_is_said_kindly(browse, hal):
    Server.objects.all().delete()
    assert "No server is listed yet" in words(browse(hal).get(reverse("billing:servers")))


def test_words_of_others_are_shown_as_words(browse, hal, riverbank):
    home = Installation.objects.create(client=riverbank, name="<b>bold</b> & co")
    Server.objects.create(installation=home, hostname="<i>.example", cpus=1)
    page = words(browse(hal).get(reverse("billing:servers")))
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; co" in page
    assert "<i>.example" not in page


# People


KIM = {"name": "Kim Rao", "email": "kim@riverbank.example", "role": "technical", "sees": "all"}


def test_the_owner_brings_in_a_colleague(browse, gita):
    answer = browse(gita).post(reverse("billing:contacts"), KIM, follow=True)
    assert "An invitation is on its way to kim@riverbank.example" in words(answer)
    assert "Kim Rao" in words(answer)
    outbox.drain()
    assert Outbox.objects.filter(payload__to=["kim@riverbank.example"]).exists()


def test_others_see_people_and_bring_in_nobody(browse, hal):
    assert "Send the invitation" not in words(browse(hal).get(reverse("billing:contacts")))
    assert browse(hal).post(reverse("billing:contacts"), KIM).status_code == 403
    assert not User.objects.filter(email=KIM["email"]).exists()


def test_a_colleague_who_is_there_comes_back_with_what_was_typed(browse, gita):
    answer = browse(gita).post(reverse("billing:contacts"), {**KIM, "email": "Hal@riverbank.example"})
    assert answer.status_code == 422
    assert "This address is among your people already" in words(answer)
    assert 'value="Kim Rao"' in words(answer)


def test_an_incomplete_invitation_is_said_field_by_field(browse, gita):
    answer = browse(gita).post(reverse("billing:contacts"), {"name": "", "email": "no", "role": "boss", "sees": "all"})
    assert answer.status_code == 422
    assert not User.objects.filter(name="").exists()


@pytest.mark.parametrize(
    "odd",
    [
        {"name": "\ufeff"},
        {"name": "\ufb2c" * 120},
        {"email": "k@" + ".".join(["x" * 60] * 5) + ".example"},
        {"email": "kim@river\x00bank.example"},
    ],
    ids=["no name", "a name that grows", "an address no account holds", "NUL"],
)
def test_an_invitation_that_cannot_be_sent_comes_back(browse, gita, odd):
    answer = browse(gita).post(reverse("billing:contacts"), {**KIM, **odd})
    assert answer.status_code == 422
    assert not Outbox.objects.exists()


def test_a_name_is_kept_as_one_line(browse, gita):
    browse(gita).post(reverse("billing:contacts"), {**KIM, "name": "Kim\u202e\x00 \r\nRao"})
    outbox.drain()
    assert User.objects.get(email=KIM["email"]).name == "Kim Rao"


# The books


def test_the_bookkeeper_reads_terms_packs_and_what_was_used(browse, edda, finn, hal, iris, dovetail):
    first, second = file(hal), file(iris)
    grant_pack(dovetail, Pack.objects.get(code="pack-3"), starts_on=TODAY)
    give(dovetail, finn)
    page = words(browse(edda).get(reverse("billing:books")))
    for said in ["Riverbank Library", "Dovetail Studio", "1 of 40", "1 of 3", f"#{first.number}", f"#{second.number}"]:
        assert said in page
    assert "given by Finn Adler: Good will" in page


def give(client, finn):
    until = client.subscriptions.get().ends_on
    Grant.objects.create(client=client, kind="staff", tickets=1, ends_on=until, given_by=finn, reason="Good will")


def test_the_books_show_nobodys_words(browse, edda, hal):
    file(hal, subject="Heron nests in the server room", description="They are *loud*, and it is ours to keep quiet.")
    page = words(browse(edda).get(reverse("billing:books")))
    assert "Heron" not in page
    assert "loud" not in page
    assert "Hal" not in page


@pytest.mark.parametrize("who", ["hal", "gita", "ana", "chloe", "finn", "jo", "cleo"])
def test_only_the_bookkeeper_opens_the_books(browse, cast, who):
    assert browse(getattr(cast, who)).get(reverse("billing:books")).status_code == 403


def test_empty_books_say_what_will_stand_there(browse, edda):
    Grant.objects.all().delete()
    Client.objects.get(name="Riverbank Library").subscriptions.all().delete()
    Client.objects.get(name="Dovetail Studio").subscriptions.all().delete()
    page = words(browse(edda).get(reverse("billing:books")))
    for said in ["No term has been bought yet", "No pack has been bought yet", "No ticket has used anything yet"]:
        assert said in page


def test_the_books_list_the_latest_hundred_of_each(browse, edda, riverbank, finn):
    facts = {"client": riverbank, "kind": "staff", "tickets": 1, "given_by": finn}
    days = [TODAY - timedelta(days=day) for day in range(101)]
    grants = [Grant(reason=f"Reason {day}.", starts_on=day, ends_on=day + timedelta(days=400), **facts) for day in days]
    Grant.objects.bulk_create(grants[:99])
    assert "These are the latest 100" not in words(browse(edda).get(reverse("billing:books")))
    Grant.objects.bulk_create(grants[99:])
    page = words(browse(edda).get(reverse("billing:books")))
    assert page.count("These are the latest 100; what is older is not listed here.") == 1
    assert f"Reason {days[99]}." in page
    assert f"Reason {days[100]}." not in page


def test_the_books_list_the_latest_hundred_terms(browse, edda, riverbank):
    tier = riverbank.subscriptions.get().tier
    ended = riverbank.subscriptions.get().starts_on
    terms = [
        Subscription(
            client=riverbank, tier=tier, cpus=1, starts_on=ended - timedelta(n + 1), ends_on=ended - timedelta(n)
        )
        for n in range(101)
    ]
    for term in Subscription.objects.bulk_create(terms):
        grant_term(term)
    page = words(browse(edda).get(reverse("billing:books")))
    assert "These are the latest 100" in page
    assert page.count('<th scope="row">Riverbank Library') == 99  # and Dovetail's


# One row or three: the same queries


def add_rows(client, *, rows, finn):
    """More of everything these pages list."""
    number = Charge.objects.count()
    for row in range(rows):
        entitlements.hold(client, f"ticket:{number + row}", "portal")
        grant_pack(client, Pack.objects.get(code="pack-3"), starts_on=TODAY)
        give(client, finn)
        home = Installation.objects.create(client=client, name=f"Platform {number + row}")
        Server.objects.create(installation=home, hostname=f"s{number + row}.example", cpus=1)
        user = User.objects.create_user(f"c{number + row}@riverbank.example", name="Colleague")
        Contact.objects.create(user=user, client=client, role=Contact.Role.TECHNICAL)


@pytest.mark.parametrize("page", CLIENT_PAGES)
def test_a_clients_pages_cost_the_same_with_more_rows(browse, gita, riverbank, finn, page):
    add_rows(riverbank, rows=1, finn=finn)
    one = queries(browse(gita), reverse(f"billing:{page}"))
    add_rows(riverbank, rows=2, finn=finn)
    assert queries(browse(gita), reverse(f"billing:{page}")) == one


def test_the_books_cost_the_same_with_more_rows(browse, edda, riverbank, dovetail, finn):
    add_rows(riverbank, rows=1, finn=finn)
    one = queries(browse(edda), reverse("billing:books"))
    add_rows(riverbank, rows=1, finn=finn)
    add_rows(dovetail, rows=1, finn=finn)
    assert queries(browse(edda), reverse("billing:books")) == one


# At home


def test_a_client_reads_at_home_what_is_left(hal):
    shown = render_to_string("billing/_allowance_panel.html", {"facts": panels.allowance(hal.user)})
    assert "40 of 40 left" in shown


def test_the_bookkeeper_reads_at_home_what_is_open(edda, hal):
    file(hal)
    facts = panels.books(edda)
    assert (facts["held"], facts["charged"], facts["released"], facts["terms"]) == (1, 0, 0, 2)
    assert reverse("billing:books") in render_to_string("billing/_books_panel.html", {"facts": facts})


def test_a_partner_reads_at_home_that_nothing_waits(jo):
    shown = render_to_string("referrals/_partner_panel.html", {"facts": referral_panels.partner(jo.user)})
    assert "No work has been referred to you yet" in shown


@pytest.mark.parametrize("who", ["ana", "cleo"])
def test_others_have_no_such_panels(cast, who):
    user = getattr(getattr(cast, who), "user", getattr(cast, who))
    assert (panels.allowance(user), panels.books(user), referral_panels.partner(user)) == (None, None, None)


# Referrals


def test_a_partner_sees_their_referrals(browse, jo):
    page = words(browse(jo).get(reverse("referrals:referral_list")))
    assert "Lantern Themes" in page
    assert "No work has been referred to you yet" in page


@pytest.mark.parametrize("who", ["hal", "ana", "edda", "finn", "cleo"])
def test_whoever_is_no_partner_finds_no_referrals(browse, cast, who):
    assert browse(getattr(cast, who)).get(reverse("referrals:referral_list")).status_code == 404
