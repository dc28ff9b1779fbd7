"""An address is proved by the link that was mailed to it, and belongs to one person."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.db import connection, transaction
from django.test import Client as Browser
from django.urls import reverse

from aegir_support import outbox
from aegir_support.models import Outbox
from members import actions
from members.models import User

SECRET = "quiet-river-77"
NELL = "nell@riverbank.example"


def link_to(email):
    """The newest link that was mailed to this address."""
    outbox.drain()
    mail = Outbox.objects.filter(payload__to=[email]).latest("pk").payload
    return urlsplit(re.search(r"http\S+/accounts/\S+", mail["text"])[0]).path


def choose_password(link, browser=None):
    browser = browser or Browser()
    page = browser.get(link, follow=True)
    return browser.post(page.request["PATH_INFO"], {"password1": SECRET, "password2": SECRET}, follow=True)


def log_in(email, password=SECRET):
    """Where somebody arrives who logs in."""
    return Browser().post("/accounts/login/", {"login": email, "password": password}).headers.get("Location")


def edit(browse, finn, user, **facts):
    form = {"name": user.name, "email": user.email, "time_zone": user.time_zone, "is_active": "on", **facts}
    return browse(finn).post(reverse("admin:members_user_change", args=[user.pk]), form)


def invite_again(browse, finn, user):
    chosen = {"action": "invite", "_selected_action": [user.pk]}
    return browse(finn).post(reverse("admin:members_user_changelist"), chosen)


def addresses_of(user):
    return list(EmailAddress.objects.filter(user=user).values_list("email", "primary", "verified"))


def test_an_address_is_proved_when_the_link_is_used(db):
    nell = actions.invite(NELL, "Nell Ray")
    assert addresses_of(nell) == [(NELL, True, False)]
    choose_password(link_to(NELL))
    assert addresses_of(nell) == [(NELL, True, True)]
    assert log_in(NELL) == "/home/"


def test_a_forgotten_password_proves_the_address_as_well(cast):
    nell = actions.invite(NELL, "Nell Ray")
    Browser().post("/accounts/password/reset/", {"email": NELL})
    choose_password(link_to(NELL))
    assert addresses_of(nell) == [(NELL, True, True)]
    assert log_in(NELL) == "/home/"


def test_somebodys_second_address_is_taken(hal):
    EmailAddress.objects.create(user=hal.user, email=NELL, verified=True)
    with pytest.raises(actions.AlreadyHere):
        actions.invite("Nell@Riverbank.example", "Nell Ray")
    assert not User.objects.filter(email=NELL).exists()


def test_an_address_that_somebody_only_claims_keeps_nobody_out(hal):
    EmailAddress.objects.create(user=hal.user, email=NELL, verified=False)
    nell = actions.invite(NELL, "Nell Ray")
    choose_password(link_to(NELL))
    assert addresses_of(nell) == [(NELL, True, True)]


def test_an_admin_gives_nobody_an_address_that_is_taken(browse, finn, hal, iris):
    EmailAddress.objects.create(user=hal.user, email=NELL, verified=True)
    for taken in [NELL, hal.user.email]:
        page = edit(browse, finn, iris.user, email=taken)
        assert page.status_code == 200
        assert "Somebody already uses this e-mail address." in page.content.decode()
    new = {"name": "Nell Ray", "email": NELL, "time_zone": "UTC", "is_active": "on"}
    assert browse(finn).post(reverse("admin:members_user_add"), new).status_code == 200
    assert not User.objects.filter(name="Nell Ray").exists()


def test_an_address_changed_by_an_admin_is_the_one_that_counts(browse, finn, hal):
    assert edit(browse, finn, hal.user, email="Hal@Home.example").status_code == 302
    assert addresses_of(hal.user) == [("hal@home.example", True, False)]


def test_whoever_is_invited_again_at_a_new_address_gets_in(browse, finn, db):
    nell = actions.invite("nel@riverbank.example", "Nell Ray")
    stale = link_to("nel@riverbank.example")
    edit(browse, finn, nell, email=NELL)
    assert invite_again(browse, finn, nell).status_code == 302
    assert b"no longer works" in Browser().get(stale, follow=True).content
    choose_password(link_to(NELL))
    assert addresses_of(nell) == [(NELL, True, True)]
    assert log_in(NELL) == "/home/"


def test_an_invitation_mends_an_address_changed_behind_our_back(hal):
    User.objects.filter(pk=hal.user.pk).update(email="hal@home.example")
    hal.user.refresh_from_db()
    actions.send_invitation(hal.user)
    assert addresses_of(hal.user) == [("hal@home.example", True, False)]


def test_a_link_sent_to_the_former_address_confirms_nothing(browse, finn, hal):
    EmailAddress.objects.filter(user=hal.user).update(verified=False)
    stale = f"/accounts/confirm-email/{EmailConfirmationHMAC(EmailAddress.objects.get(user=hal.user)).key}/"
    edit(browse, finn, hal.user, email="hal@home.example")
    Browser().post(stale)
    assert addresses_of(hal.user) == [("hal@home.example", True, False)]


def test_a_link_that_reached_a_second_address_does_not_prove_the_first(browse, finn, hal):
    EmailAddress.objects.create(user=hal.user, email="hal@home.example", verified=True)
    edit(browse, finn, hal.user, email="typo@riverbank.example")
    Browser().post("/accounts/password/reset/", {"email": "hal@home.example"})
    choose_password(link_to("hal@home.example"))
    assert ("typo@riverbank.example", True, False) in addresses_of(hal.user)
    assert log_in("typo@riverbank.example") == "/accounts/confirm-email/"


def test_a_second_address_that_becomes_the_first_stays_proved(browse, finn, hal):
    EmailAddress.objects.create(user=hal.user, email="hal@home.example", verified=True)
    edit(browse, finn, hal.user, email="hal@home.example")
    assert addresses_of(hal.user) == [("hal@home.example", True, True)]


def test_changing_ones_password_proves_no_address(browse, finn, hal):
    browser = browse(hal)
    edit(browse, finn, hal.user, email="typo@riverbank.example")
    old = "the-river-is-wide"
    browser.post("/accounts/password/change/", {"oldpassword": old, "password1": SECRET, "password2": SECRET})
    hal.user.refresh_from_db()
    assert hal.user.check_password(SECRET)
    assert addresses_of(hal.user) == [("typo@riverbank.example", True, False)]


@pytest.mark.django_db(transaction=True)
def test_of_two_invitations_at_once_one_is_told_so():
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            actions.invite(NELL, "Nell Ray")
            second = pool.submit(invite_and_hang_up)
            wait_for_a_lock()
        assert second.result() == "AlreadyHere"
    assert User.objects.filter(email=NELL).count() == 1


def invite_and_hang_up():
    try:
        actions.invite(NELL, "Nell Ray")
    except actions.AlreadyHere:
        return "AlreadyHere"
    finally:
        connection.close()


def wait_for_a_lock():
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(200):
        with connection.cursor() as cursor:
            if cursor.execute(waiting).fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")
