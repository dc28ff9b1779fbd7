"""Log-in by a provider of OpenID Connect, against a small real one on the loopback."""

from urllib.parse import urlsplit

import pytest
import requests
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from django.test import Client as Browser

from aegir_support.models import Outbox
from members.models import User
from tests.members.provider import CLIENT_ID, CLIENT_SECRET, running
from tests.members.test_codes import SECRET


@pytest.fixture
def provider(settings, cast):
    with running() as provider:
        settings.OIDC_NAME = "Coop ID"
        app = {
            "provider_id": "oidc",
            "name": "Coop ID",
            "client_id": CLIENT_ID,
            "secret": CLIENT_SECRET,
            "settings": {"server_url": provider.issuer, "oauth_pkce_enabled": True},
        }
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
        yield provider


def go(browser, then=""):
    """What the browser is shown when it comes back from the provider."""
    leads = browser.get(f"/accounts/oidc/login/?next={then}")
    assert leads.status_code == 302, leads.content.decode()
    back = requests.get(leads["Location"], allow_redirects=False, timeout=5)
    assert back.status_code == 302
    return browser.get(path_of(back.headers["Location"]))


def path_of(address):
    url = urlsplit(address)
    return f"{url.path}?{url.query}"


def who(browser):
    page = browser.get("/accounts/email/")
    return page.wsgi_request.user.email if page.status_code == 200 else None


def test_it_opens_an_account_whose_address_both_have_proved(provider):
    browser = Browser()
    assert "Log in with Coop ID" in browser.get("/accounts/login/?next=/tickets/").content.decode()
    answer = go(browser, "/tickets/")
    assert (answer.status_code, answer["Location"]) == (302, "/tickets/")
    assert who(browser) == "hal@riverbank.example"
    assert Outbox.objects.filter(payload__subject="Coop ID now opens your account").count() == 1
    assert SocialAccount.objects.get().uid == "42"


def test_the_second_time_it_knows_the_person_also_under_a_new_address(provider):
    go(Browser())
    provider.person["email"] = "hal@elsewhere.example"
    browser = Browser()
    go(browser)
    assert who(browser) == "hal@riverbank.example"


def test_the_second_factor_is_asked_for_all_the_same(provider, hal):
    TOTP.activate(hal.user, SECRET)
    browser = Browser()
    assert go(browser)["Location"] == "/accounts/2fa/authenticate/"
    assert who(browser) is None


def test_whoever_must_have_a_second_factor_sets_one_up(provider, settings):
    settings.SECOND_FACTOR_REQUIRED = True
    provider.person["email"] = "ana@lima.example"
    browser = Browser()
    go(browser)
    assert browser.get("/queue/")["Location"] == "/accounts/2fa/"


STRANGERS = {
    "nobody we know": {"email": "new@nowhere.example"},
    "an address not proved there": {"email_verified": False},
    "the word false": {"email_verified": "false"},
    "the word true": {"email_verified": "true"},
    "no word about it": {"email_verified": None},
    "no address": {"email": ""},
}


@pytest.mark.parametrize("facts", STRANGERS.values(), ids=STRANGERS)
def test_strangers_are_refused_with_a_sentence(provider, facts):
    provider.person |= facts
    people = User.objects.count()
    browser = Browser()
    answer = go(browser)
    assert answer.status_code == 403
    assert "You are not logged in" in answer.content.decode()
    assert who(browser) is None
    assert (User.objects.count(), SocialAccount.objects.count()) == (people, 0)


def test_an_address_not_proved_here_opens_nothing(provider, hal):
    EmailAddress.objects.filter(user=hal.user).update(verified=False)
    answer = go(Browser())
    assert answer.status_code == 403
    assert "No account here has the address" in answer.content.decode()


def test_who_may_not_log_in_does_not(provider, hal):
    User.objects.filter(pk=hal.user_id).update(is_active=False)
    browser = Browser()
    assert go(browser)["Location"] == "/accounts/inactive/"
    assert who(browser) is None


@pytest.mark.parametrize("fault", ["forged", "unsigned", "over", "for somebody else", "two people"])
def test_what_does_not_fit_together_is_refused(provider, fault):
    provider.faults.add(fault)
    browser = Browser()
    assert go(browser).status_code in {401, 403, 502}
    assert who(browser) is None


def test_a_state_that_is_not_this_browsers_is_refused(provider):
    mine, other = Browser(), Browser()
    leads = other.get("/accounts/oidc/login/")
    back = requests.get(leads["Location"], allow_redirects=False, timeout=5).headers["Location"]
    answer = mine.get(path_of(back))
    assert answer.status_code == 401
    assert "Please begin again" in answer.content.decode()
    assert mine.get("/accounts/oidc/login/callback/?code=x&state=forged").status_code == 401
    assert who(mine) is None


def test_an_answer_counts_once(provider):
    browser = Browser()
    leads = browser.get("/accounts/oidc/login/")
    back = path_of(requests.get(leads["Location"], allow_redirects=False, timeout=5).headers["Location"])
    assert browser.get(back).status_code == 302
    assert Browser().get(back).status_code == 401


def test_whoever_calls_it_off_is_told(provider):
    browser = Browser()
    state = urlsplit(browser.get("/accounts/oidc/login/")["Location"]).query.split("state=")[1].split("&")[0]
    answer = browser.get(f"/accounts/oidc/login/callback/?error=access_denied&state={state}")
    assert answer.status_code == 401


def test_a_provider_that_is_away_is_said_so(provider):
    provider.faults.add("away")
    answer = Browser().get("/accounts/oidc/login/")
    assert answer.status_code == 502
    assert "Coop ID does not answer as it should." in answer.content.decode()


def test_nothing_of_the_address_goes_to_the_provider(provider):
    odd = "?process=connect&scope=admin&auth_params=redirect_uri%3Dhttps%3A%2F%2Fevil.example"
    address = Browser().get(f"/accounts/oidc/login/{odd}")["Location"]
    assert "evil" not in address
    assert "admin" not in address


def test_it_leads_to_no_other_site_afterwards(provider):
    assert go(Browser(), "https://evil.example/")["Location"] == "/home/"


@pytest.mark.parametrize("path", ["login/", "login/callback/?code=x&state=y"])
def test_without_the_setting_there_is_no_such_address(cast, path):
    assert Browser().get(f"/accounts/oidc/{path}").status_code == 404
    assert "Log in with" not in Browser().get("/accounts/login/").content.decode().replace("Log in with a passkey", "")


@pytest.mark.parametrize("path", ["3rdparty/", "3rdparty/signup/", "social/signup/", "google/login/"])
def test_allauths_other_addresses_are_not_there(cast, path):
    assert Browser().get(f"/accounts/{path}").status_code == 404
