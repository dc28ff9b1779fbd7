import pytest
from django.test import Client
from django.urls import include, path

from aegir_support.urls import handler400, handler403, handler404, handler500  # noqa: F401


def crash(request):
    raise ZeroDivisionError


crash.login_required = False
urlpatterns = [path("crash/", crash), path("", include("aegir_support.urls"))]


def policy_of(response):
    directives = (part.split() for part in response["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in directives}


@pytest.mark.urls(__name__)
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/", 200),
        ("/accounts/login/", 200),
        ("/accounts/password/reset/", 200),
        ("/admin/", 302),
        ("/-/health", 200),
        ("/-/ready", None),
        ("/demo/mail/", 200),
        ("/home/", 302),
        ("/static/css/site.css", 200),
        ("/static/admin/css/base.css", 200),
        ("/nothing/here/", 404),
        ("/crash/", 500),
    ],
)
def test_every_answer_carries_the_policy(address, status):
    response = Client(raise_request_exception=False).get(address)
    response.close()
    assert status in {None, response.status_code}
    policy = policy_of(response)
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == ["'self'"]
    assert policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert policy["form-action"] == ["'self'"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/", "/accounts/login/", "/accounts/password/reset/", "/demo/mail/", "/nothing/"])
def test_no_page_holds_what_the_policy_would_stop(address):
    page = Client().get(address).content.decode()
    for forbidden in (" style=", " onclick=", " onload=", "<style", "javascript:"):
        assert forbidden not in page
    assert all(" src=" in script.split(">")[0] for script in page.split("<script")[1:])
