"""What staff leave half set up breaks no filing: what can be said is said, and the words are kept."""

import html
from datetime import timedelta

import pytest
from django.urls import reverse

from billing.models import Charge
from members.models import Calendar
from tests.tickets.filing import file, offer_of
from tests.tickets.test_bad_input import filing
from tickets.models import OfferWindow, Ticket

SPAN = {"spans-0-weekday": 0, "spans-0-opens": "09:00", "spans-0-closes": "17:00"}


def words_of(page):
    return html.unescape(page.content.decode())


def spans(total, initial=0, **facts):
    return {"spans-TOTAL_FORMS": total, "spans-INITIAL_FORMS": initial, **facts}


def no_promises(client):
    client.subscriptions.get().tier.promises.all().delete()


def no_hours(client):
    client.calendar.spans.all().delete()


@pytest.mark.parametrize("forget", [no_promises, no_hours])
def test_a_filing_without_a_deadline_is_answered_and_kept(browse, hal, riverbank, forget):
    forget(riverbank)
    page = browse(hal).post("/tickets/new/", filing())
    assert page.status_code == 409
    for said in ["We cannot say by when", "support@aegir.example", "Verify task fails", "Every verify ends"]:
        assert said in words_of(page)
    assert not Ticket.objects.exists()
    assert not Charge.objects.exists()


def test_a_tier_without_promises_still_shows_its_form(browse, hal, riverbank):
    no_promises(riverbank)
    page = browse(hal).get("/tickets/new/")
    assert page.status_code == 200
    assert "First response within" not in words_of(page)


def test_the_form_asks_for_promises_once(browse, hal, django_assert_max_num_queries):
    browser = browse(hal)
    browser.get("/tickets/new/")
    with django_assert_max_num_queries(20) as asked:
        browser.get("/tickets/new/")
    assert sum("billing_promise" in each["sql"] for each in asked.captured_queries) == 1


def test_a_window_that_is_gone_is_the_shipped_one(hal):
    OfferWindow.objects.all().delete()
    offer = offer_of(file(hal, severity=1))
    assert offer.answer_by - offer.offered_at == timedelta(minutes=15)


def test_windows_are_edited_and_neither_added_nor_deleted(browse, finn):
    window = OfferWindow.objects.get(severity=1)
    admin = browse(finn)
    assert admin.get(reverse("admin:tickets_offerwindow_add")).status_code == 403
    assert admin.post(reverse("admin:tickets_offerwindow_delete", args=[window.pk])).status_code == 403
    page = reverse("admin:tickets_offerwindow_change", args=[window.pk])
    assert admin.post(page, {"severity": 3, "minutes": 20}).status_code == 302
    window.refresh_from_db()
    assert (window.severity, window.minutes) == (1, 20)


def test_a_calendar_is_open_at_some_time(browse, finn):
    new = {"name": "Mondays", "time_zone": "UTC"}
    page = browse(finn).post("/admin/members/calendar/add/", {**new, **spans(0)})
    assert "Enter at least one stretch of open hours." in words_of(page)
    assert browse(finn).post("/admin/members/calendar/add/", {**new, **spans(1), **SPAN}).status_code == 302
    assert Calendar.objects.get(name="Mondays").spans.count() == 1


def test_the_last_open_hours_are_not_taken_away(browse, finn, riverbank):
    calendar = riverbank.calendar
    calendar.spans.exclude(weekday=0).delete()
    kept = {**SPAN, "spans-0-id": calendar.spans.get().pk, "spans-0-calendar": calendar.pk, "spans-0-DELETE": "on"}
    form = {"name": calendar.name, "time_zone": calendar.time_zone, **spans(1, 1), **kept}
    page = browse(finn).post(f"/admin/members/calendar/{calendar.pk}/change/", form)
    assert "Enter at least one stretch of open hours." in words_of(page)
    assert calendar.spans.count() == 1
