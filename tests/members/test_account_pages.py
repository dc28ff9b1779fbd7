"""What the account pages say: one sentence about passwords, labels like everywhere, no button that does nothing."""

import re

import pytest
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client as Browser

from aegir_support.demo import PASSWORD
from members.models import User
from tests.members.test_invitations import link_to

RULES = "At least 10 characters, not only numbers, not a common one, and not close to your name or address."


def labels(page):
    return [re.sub(r"\s+", " ", each).strip() for each in re.findall(r"<label[^>]*>([^<]*)</label>", page)]


def test_the_password_page_speaks_like_the_others(browse, hal):
    page = browse(hal).get("/accounts/password/change/").content.decode()
    assert labels(page) == ["Current password", "New password", "New password, again"]
    assert page.count(RULES) == 1
    assert "Your password can" not in page
    assert page.index('id="id_password1"') < page.index(RULES) < page.index('id="id_password2"')
    assert 'aria-describedby="id_password1_helptext"' in page


def test_the_link_for_a_new_password_speaks_so_too(hal):
    Browser().post("/accounts/password/reset/", {"email": hal.user.email})
    page = Browser().get(link_to(hal.user.email), follow=True).content.decode()
    assert labels(page) == ["New password", "New password, again"]
    assert page.count(RULES) == 1


@pytest.mark.parametrize("bad", ["river-778", "8372940175628", "password123", "quentinriver", "quentin@mill.example"])
def test_what_the_sentence_says_of_passwords_is_so(bad):
    somebody = User(name="Quentin River", email="quentin@mill.example")
    with pytest.raises(ValidationError):
        validate_password(bad, somebody)


def test_the_sentence_names_every_rule_there_is():
    rules = {each["NAME"].rsplit(".", 1)[-1]: each.get("OPTIONS", {}) for each in settings.AUTH_PASSWORD_VALIDATORS}
    assert set(rules) == {
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    }
    assert rules["MinimumLengthValidator"] == {"min_length": 10}


def test_logging_out_elsewhere_is_offered_where_there_is_an_elsewhere(hal):
    here = log_in(hal)
    page = here.get("/accounts/sessions/").content.decode()
    assert "You are logged in here only" in page
    assert "Log out everywhere else" not in page
    assert "Change the password" in page
    log_in(hal)
    assert page_has_button(here.get("/accounts/sessions/").content.decode())


def log_in(somebody):
    browser = Browser()
    browser.post("/accounts/login/", {"login": somebody.user.email, "password": PASSWORD})
    return browser


def page_has_button(page):
    return re.search(r"<button[^>]*>.*?Log out everywhere else.*?</button>", page, re.DOTALL) is not None
