"""What admins enter without a deploy (B19): terms, grants, people, members."""

from datetime import timedelta

from django.utils import timezone

from aegir_support.models import Outbox
from billing.models import Grant, Subscription, Tier
from members.models import Member, User

NO_INLINES = {
    f"{prefix}-{name}": 0 for prefix in ["contacts", "representatives"] for name in ["TOTAL_FORMS", "INITIAL_FORMS"]
}


def test_a_term_entered_by_staff_grants_its_tickets(browse, finn, dovetail):
    Subscription.objects.filter(client=dovetail).update(ends_on=timezone.localdate())
    term = {
        "client": dovetail.pk,
        "tier": Tier.objects.get(code="standard").pk,
        "cpus": 2,
        "starts_on": timezone.localdate(),
        "ends_on": timezone.localdate() + timedelta(days=365),
    }
    page = browse(finn).post("/admin/billing/subscription/add/", term)
    assert page.status_code == 302
    assert Grant.objects.get(subscription__starts_on=timezone.localdate()).tickets == 20


def test_a_term_that_overlaps_is_refused_with_a_sentence(browse, finn, riverbank):
    term = {
        "client": riverbank.pk,
        "tier": Tier.objects.get(code="basic").pk,
        "cpus": 1,
        "starts_on": timezone.localdate(),
        "ends_on": timezone.localdate() + timedelta(days=365),
    }
    page = browse(finn).post("/admin/billing/subscription/add/", term)
    assert "This client already has a subscription in those days." in page.content.decode()


def test_a_grant_by_staff_needs_a_reason_and_carries_a_name(browse, finn, riverbank):
    grant = {
        "client": riverbank.pk,
        "kind": "staff",
        "tickets": 2,
        "starts_on": timezone.localdate(),
        "ends_on": timezone.localdate() + timedelta(days=30),
    }
    page = browse(finn).post("/admin/billing/grant/add/", grant)
    assert "names who gave it and why" in page.content.decode()
    page = browse(finn).post("/admin/billing/grant/add/", {**grant, "reason": "Our own outage"})
    assert page.status_code == 302
    assert Grant.objects.get(kind="staff").given_by == finn


def test_a_new_person_is_invited(browse, finn):
    person = {"name": "Nell Ray", "email": "Nell@Riverbank.example", "time_zone": "UTC", "is_active": "on"}
    assert browse(finn).post("/admin/members/user/add/", person).status_code == 302
    assert not User.objects.get(email="nell@riverbank.example").has_usable_password()
    assert Outbox.objects.filter(payload__to=["nell@riverbank.example"]).count() == 1


def test_a_new_member_gets_a_seat_at_the_end(browse, finn):
    member = {
        "name": "Northlight",
        "kind": "organisation",
        "status": "active",
        "country": "SE",
        "time_zone": "Europe/Stockholm",
        "joined_on": timezone.localdate(),
        **NO_INLINES,
    }
    assert browse(finn).post("/admin/members/member/add/", member).status_code == 302
    assert Member.objects.get(name="Northlight").seats.count() == 1
