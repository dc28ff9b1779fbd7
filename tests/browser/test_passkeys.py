"""Passkeys with Chromium's virtual authenticator: added, used to log in, as second factor and once more, removed."""

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from axe_playwright_python.sync_playwright import Axe
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from aegir_support.demo import PASSWORD
from aegir_support.models import Outbox
from tests.browser.conftest import DESK, PHONE

pytestmark = pytest.mark.browser

KINDS = {
    "passkey": {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True},
    "old key": {"protocol": "u2f", "transport": "usb", "hasResidentKey": False, "hasUserVerification": False},
}


class Device:
    """A browser that has an authenticator, whose owner is there and willing."""

    def __init__(self, page, kind="passkey"):
        self.page = page
        self.devtools = page.context.new_cdp_session(page)
        self.devtools.send("WebAuthn.enable")
        facts = {"isUserVerified": KINDS[kind]["hasUserVerification"], "automaticPresenceSimulation": True}
        self.id = self.devtools.send("WebAuthn.addVirtualAuthenticator", {"options": KINDS[kind] | facts})[
            "authenticatorId"
        ]

    @property
    def keys(self):
        return self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.id})["credentials"]

    def forget_all(self):
        self.devtools.send("WebAuthn.clearCredentials", {"authenticatorId": self.id})


def password(page, person, then="/home/"):
    page.goto(f"/accounts/login/?next={then}")
    page.get_by_label("E-mail address").fill(person.user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


def log_out(page):
    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Log out").click()
    page.wait_for_url("**/")


def add(page, name=None):
    page.goto("/accounts/2fa/webauthn/add/")
    if name:
        page.get_by_label("A name to tell it by").fill(name)
    page.get_by_role("button", name="Add it").click()
    page.wait_for_url("**/recovery-codes/")


def an_hour_passes():
    """For whoever is logged in: the proofs of who they are grow old."""
    for key in Session.objects.values_list("session_key", flat=True):
        session = SessionStore(key)
        for proof in session.get("account_authentication_methods", []):
            proof["at"] -= 3600
        session.save()


@pytest.fixture
def device(open_as, hal):
    """Hal's browser, with a passkey of his."""
    page = open_as(hal)
    device = Device(page)
    add(page, "Hal’s phone")
    return device


def kept():
    return Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN)


def test_a_passkey_is_added_and_logs_in_without_a_password(device, hal):
    page = device.page
    assert [str(each) for each in kept()] == ["Hal’s phone"]
    assert device.keys[0]["rpId"] == "localhost"
    assert device.keys[0]["isResidentCredential"]
    assert Outbox.objects.filter(payload__subject="A passkey was added").exists()
    log_out(page)
    page.goto("/accounts/login/?next=/tickets/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url(re.compile(r":\d+/tickets/$"))
    assert "Logged in as hal@riverbank.example" in page.content()
    assert page.complaints == []


def test_after_the_password_it_is_the_second_factor(device, hal):
    page = device.page
    log_out(page)
    password(page, hal, then="/tickets/")
    page.wait_for_url("**/2fa/authenticate/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(re.compile(r":\d+/tickets/$"))


def test_an_old_key_without_a_pin_is_a_second_factor_but_no_way_in(open_as, hal):
    page = open_as(hal)
    device = Device(page, "old key")
    add(page, "Old key")
    assert not device.keys[0]["isResidentCredential"]
    log_out(page)
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.get_by_text("No passkey was used").wait_for()
    password(page, hal)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/home/")


def test_is_it_still_you_is_answered_by_a_passkey_and_what_was_typed_is_done(gita, open_as, riverbank):
    page = open_as()
    owner = Device(page)
    password(page, gita)
    add(page)
    log_out(page)
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url("**/home/")
    an_hour_passes()
    page.goto("/contacts/")
    page.get_by_label("Name").fill("Kim Rao")
    page.get_by_label("E-mail address").fill("kim@riverbank.example")
    page.get_by_role("button", name="Send the invitation").last.click()
    page.get_by_role("link", name="Use a passkey").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/contacts/")
    assert "An invitation is on its way to kim@riverbank.example" in page.content()
    assert riverbank.invitations.get().name == "Kim Rao"
    assert len(owner.keys) == 1


def test_it_is_renamed_and_removed(device):
    page = device.page
    page.goto("/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Rename").click()
    page.get_by_label("A name to tell it by").fill("Pocket")
    page.get_by_role("button", name="Save the name").click()
    page.get_by_role("link", name="Remove Pocket").click()
    page.get_by_role("button", name="Remove it").click()
    page.get_by_text("You have no passkey yet").wait_for()
    assert not Authenticator.objects.exists()
    log_out(page)
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.get_by_text("Incorrect code").wait_for()


def test_whoever_calls_it_off_is_told_and_can_go_on(device):
    page = device.page
    log_out(page)
    device.forget_all()
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.get_by_text("No passkey was used").wait_for()
    assert page.get_by_label("Password").is_enabled()


def test_whoever_must_have_a_second_factor_chooses_which(open_as, ana, settings):
    settings.SECOND_FACTOR_REQUIRED = True
    page = open_as(ana)
    Device(page)
    page.goto("/queue/")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_role("button", name="Add it").click()
    page.wait_for_url("**/recovery-codes/")
    page.goto("/queue/")
    page.wait_for_url("**/queue/")


def test_an_address_that_is_not_proved_gets_no_passkey(open_as, hal):
    EmailAddress.objects.filter(user=hal.user).update(verified=False)
    page = open_as(hal)
    page.goto("/accounts/2fa/webauthn/add/")
    page.wait_for_url("**/accounts/2fa/")


@pytest.mark.parametrize(("dark", "size"), [(False, DESK), (True, PHONE)], ids=["desk, light", "phone, dark"])
def test_its_pages_are_fit_to_read(open_as, hal, dark, size, tmp_path):
    page = open_as(hal, dark=dark, size=size)
    Device(page)
    add(page, "A phone with quite a long name of its own")
    key = kept().get().pk
    faults = []

    def look(name):
        faults.extend(f"{name}: {each['id']}" for each in Axe().run(page).response["violations"])
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            faults.append(f"{name}: wider than the screen")
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)

    for path in ["", "webauthn/", "webauthn/add/", f"webauthn/keys/{key}/edit/", f"webauthn/keys/{key}/remove/"]:
        page.goto(f"/accounts/2fa/{path}")
        look(path.replace("/", "-") or "index")
    page.goto("/accounts/sessions/")
    look("sessions")
    page.goto("/accounts/2fa/webauthn/reauthenticate/")
    look("reauthenticate")
    log_out(page)
    page.goto("/accounts/login/")
    look("login")
    password(page, hal)
    page.wait_for_url("**/authenticate/")
    look("authenticate")
    assert faults == []
