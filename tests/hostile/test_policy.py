"""The content security policy is on every answer, whatever went wrong before it was written."""

import pytest
from django.test import Client

pytestmark = pytest.mark.urls("tests.frame.test_errors")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("get", "/odd/", 400),
        ("get", "/denied/", 403),
        ("post", "/-/health", 405),
        ("post", "/tickets/new/", 403),
        ("get", "/nothing/", 404),
        ("get", "/crash/", 500),
        ("get", "/away/", 503),
        ("get", "/full/", 503),
        ("get", "/admin/login/", 302),
        ("get", "/static/js/site.js", 200),
        ("get", "/static/nothing.js", 404),
    ],
)
def test_every_kind_of_answer_carries_the_policy(method, address, status):
    browser = Client(raise_request_exception=False, enforce_csrf_checks=True)
    answer = getattr(browser, method)(address)
    if answer.streaming:
        list(answer.streaming_content)
    assert answer.status_code == status
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]


@pytest.mark.django_db
@pytest.mark.urls("aegir_support.urls")
def test_whoever_is_too_quick_gets_it_too(settings):
    settings.RATE_LIMITS = True
    browser = Client()
    answers = [browser.post("/accounts/password/reset/", {"email": f"a{n}@nowhere.example"}) for n in range(60)]
    slowed = [answer for answer in answers if answer.status_code == 429]
    assert slowed
    assert all("default-src 'none'" in answer["Content-Security-Policy"] for answer in slowed)
