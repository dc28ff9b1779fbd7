"""Logging in, passwords, addresses and the second factor, drawn for real: no page of allauth's own look is left."""

import re

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)

from aegir_support import outbox
from aegir_support.demo import PASSWORD
from aegir_support.models import Outbox

PUBLIC = [
    "login",
    "signup",
    "password/reset",
    "password/reset/done",
    "password/reset/key/done",
    "confirm-email",
    "inactive",
]
OWN = [
    "logout",
    "email",
    "password/change",
    "reauthenticate",
    "sessions",
    "2fa",
    "2fa/totp/activate",
    "2fa/webauthn",
    "2fa/webauthn/add",
]


def draws(response, *words):
    page = response.content.decode()
    assert response.status_code == 200, response
    assert 'class="site-header"' in page
    assert page.count("<h1>") == 1
    for word in words:
        assert word in page
    return page


def log_in(browser, person):
    """With the password given twice, as allauth wants it before the second factor may change."""
    browser.post("/accounts/login/", {"login": person.user.email, "password": PASSWORD})
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})


@pytest.mark.parametrize("path", PUBLIC)
def test_a_visitor_sees_our_look(browse, path):
    draws(browse().get(f"/accounts/{path}/"))


@pytest.mark.parametrize("path", OWN)
def test_whoever_is_logged_in_sees_our_look(browse, hal, path):
    browser = browse()
    log_in(browser, hal)
    draws(browser.get(f"/accounts/{path}/"))


def test_a_wrong_password_says_so_beside_the_form(browse, hal):
    page = draws(browse().post("/accounts/login/", {"login": hal.user.email, "password": "wrong"}))
    assert 'role="alert"' in page
    assert hal.user.email in page


def test_a_forgotten_password_is_replaced_by_mail(browse, hal):
    browser = browse()
    browser.post("/accounts/password/reset/", {"email": hal.user.email})
    outbox.drain()
    mail = Outbox.objects.filter(kind="mail").first().payload
    link = re.search(r"https?://[^/]+(/\S+)", mail["text"])[1]
    assert link in mail["html"]
    page = browser.get(link, follow=True)
    draws(page, "Choose a password")
    new = {"password1": "a-new-river-runs", "password2": "a-new-river-runs"}
    draws(browser.post(page.redirect_chain[-1][0], new, follow=True), "Your password is changed")
    assert Outbox.objects.filter(payload__subject="Your password was replaced").exists()
    draws(browser.get(link, follow=True), "This link no longer works")


def test_nobody_learns_by_asking_whether_an_address_has_an_account(browse):
    draws(browse().post("/accounts/password/reset/", {"email": "nobody@nowhere.example"}, follow=True), "If it belongs")
    outbox.drain()
    assert "no account has that address" in Outbox.objects.first().payload["text"]


def test_a_second_address_is_confirmed_by_its_link(browse, hal):
    browser = browse()
    log_in(browser, hal)
    draws(
        browser.post("/accounts/email/", {"action_add": "", "email": "hal@home.example"}, follow=True),
        "not confirmed yet",
    )
    address = EmailAddress.objects.get(email="hal@home.example")
    link = f"/accounts/confirm-email/{EmailConfirmationHMAC(address).key}/"
    draws(browser.get(link), "Is this your e-mail address?")
    browser.post(link)
    draws(browser.get("/accounts/email/"), "hal@home.example")
    draws(browser.get("/accounts/confirm-email/nonsense/"), "This link no longer works")


def test_the_second_factor_is_set_up_asked_for_and_turned_off(browse, hal):
    browser = browse()
    log_in(browser, hal)
    page = draws(browser.get("/accounts/2fa/totp/activate/"), "data:image/svg+xml")
    secret = re.search(r"<code>(\w+)</code>", page)[1]
    code = format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))
    draws(browser.post("/accounts/2fa/totp/activate/", {"code": code}, follow=True), "Your recovery codes")
    for path in ["", "totp/deactivate/", "recovery-codes/", "recovery-codes/generate/"]:
        draws(browser.get(f"/accounts/2fa/{path}"))
    other = browse()
    draws(
        other.post("/accounts/login/", {"login": hal.user.email, "password": PASSWORD}, follow=True),
        "Now your second factor",
    )
    draws(other.post("/accounts/2fa/authenticate/", {"code": "000000"}), 'role="alert"')
    draws(browser.get("/accounts/2fa/reauthenticate/"))
    draws(browser.post("/accounts/2fa/totp/deactivate/", follow=True), "Guard your account")
    assert Outbox.objects.filter(payload__subject="Your second factor is off").exists()
