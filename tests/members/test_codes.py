"""A code works once: one after the other, eight at once, and while the cache is away."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.db import connection
from django.test import Client as Browser

from aegir_support.demo import PASSWORD
from members import codes
from members.models import UsedCode
from tests.races.together import at_once, without_constraint, without_row_lock

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code_of(secret, *, later=0):
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later))


def set_up(browser):
    """The secret of an authenticator app that has just been set up in this browser."""
    page = browser.get("/accounts/2fa/totp/activate/").content.decode()
    secret = re.search(r"<code>(\w+)</code>", page)[1]
    answer = browser.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
    assert answer.status_code == 302
    return secret


@pytest.fixture(autouse=True)
def enough_of_the_half_minute(time_machine):
    """Time goes on from the beginning of a step, so that no test meets its end."""
    time_machine.move_to((int(time.time()) // 30) * 30 + 1)


@pytest.fixture
def cache_away(settings, tmp_path):
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": f"unix://{tmp_path}/none.sock?db=0"}}


def half_way(person):
    """A browser that has given the password and owes the second factor."""
    browser = Browser()
    answer = browser.post("/accounts/login/", {"login": person.user.email, "password": PASSWORD})
    assert answer["Location"] == "/accounts/2fa/authenticate/"
    return browser


def give(browser, code):
    return browser.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 302


def test_a_code_lets_in_once(hal, cache_away):
    TOTP.activate(hal.user, SECRET)
    first, second = half_way(hal), half_way(hal)
    code = code_of(SECRET)
    assert give(first, code)
    assert not give(second, code)
    assert not give(second, f"{code[:3]} {code[3:]}")
    assert UsedCode.objects.count() == 1


def test_a_code_given_to_log_in_does_not_answer_again_whether_it_is_you(hal, cache_away):
    TOTP.activate(hal.user, SECRET)
    browser = half_way(hal)
    assert give(browser, code_of(SECRET))
    again = browser.post("/accounts/2fa/reauthenticate/", {"code": code_of(SECRET)})
    assert "Incorrect code" in again.content.decode()


def test_the_code_that_set_up_the_app_does_not_log_in(browse, hal, cache_away):
    secret = set_up(browse(hal))
    assert not give(half_way(hal), code_of(secret))


def test_the_next_code_lets_in_again(hal, time_machine):
    TOTP.activate(hal.user, SECRET)
    assert give(half_way(hal), code_of(SECRET))
    time_machine.shift(30)
    assert give(half_way(hal), code_of(SECRET))


def test_a_reset_does_not_pass_by_the_second_factor(hal):
    from tests.members.test_invitations import choose_password, link_to  # noqa: PLC0415

    TOTP.activate(hal.user, SECRET)
    browser = Browser()
    browser.post("/accounts/password/reset/", {"email": hal.user.email})
    choose_password(link_to(hal.user.email), browser)
    assert browser.get("/home/").status_code == 302
    answer = browser.post("/accounts/login/", {"login": hal.user.email, "password": "quiet-river-77"})
    assert answer["Location"] == "/accounts/2fa/authenticate/"


def eight_at_once(hal, code):
    browsers = [half_way(hal) for _ in range(8)]
    connection.close()  # the pool has eight
    return at_once(*[lambda browser=browser: give(browser, code) for browser in browsers])


@pytest.mark.django_db(transaction=True)
def test_of_eight_with_one_code_one_is_let_in(hal, cache_away):
    TOTP.activate(hal.user, SECRET)
    assert sorted(eight_at_once(hal, code_of(SECRET))) == [False] * 7 + [True]


@pytest.mark.django_db(transaction=True)
def test_without_the_unique_row_more_would_be(hal, cache_away):
    TOTP.activate(hal.user, SECRET)
    with without_constraint("members_usedcode", "used_code_is_taken_once"):
        assert eight_at_once(hal, code_of(SECRET)).count(True) > 1


@pytest.mark.django_db(transaction=True)
def test_of_eight_with_one_recovery_code_one_is_let_in(hal):
    TOTP.activate(hal.user, SECRET)
    code = RecoveryCodes.activate(hal.user).get_unused_codes()[0]
    assert sorted(eight_at_once(hal, code)) == [False] * 7 + [True]
    assert len(RecoveryCodes.activate(hal.user).get_unused_codes()) == 9


@pytest.mark.django_db(transaction=True)
def test_without_the_row_lock_a_recovery_code_would_let_in_more(hal):
    TOTP.activate(hal.user, SECRET)
    code = RecoveryCodes.activate(hal.user).get_unused_codes()[0]
    with without_row_lock(Authenticator):
        assert eight_at_once(hal, code).count(True) > 1


def test_marks_are_forgotten_after_a_day(hal, time_machine):
    assert codes.take(hal.user, SECRET, code_of(SECRET))
    assert codes.forget() == 0
    time_machine.shift(25 * 3600)
    assert codes.forget() == 1
