import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError, connection
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path
from psycopg_pool import PoolTimeout

from aegir_support import views
from aegir_support.urls import handler400, handler403, handler404, handler500  # noqa: F401


def fail_with(error):
    def view(request):
        raise error

    view.login_required = False
    return view


def slow(request):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '20ms'")
        cursor.execute("SELECT pg_sleep(5)")


def form(request):
    return HttpResponse("saved")


def needs_login(request):
    return HttpResponse("private")


slow.login_required = form.login_required = False
urlpatterns = [
    path("crash/", fail_with(ZeroDivisionError("division by zero"))),
    path("odd/", fail_with(SuspiciousOperation("odd"))),
    path("denied/", fail_with(PermissionDenied("not you"))),
    path("away/", fail_with(OperationalError("connection refused"))),
    path("closed/", fail_with(InterfaceError("connection already closed"))),
    path("full/", fail_with(PoolTimeout("couldn't get a connection after 5.00 sec"))),
    path("slow/", slow),
    path("form/", form),
    path("private/", needs_login),
    path("", include("aegir_support.urls")),
]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def visitor():
    return Client(raise_request_exception=False, enforce_csrf_checks=True)


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/odd/", 400, "could not read that request"),
        ("/nothing/here/", 404, "nothing here for you"),
        ("/crash/", 500, "our fault"),
        ("/away/", 503, "away for a moment"),
    ],
)
def test_an_error_is_answered_in_words_and_asks_nothing_of_the_database(visitor, address, status, words):
    response = visitor.get(address)  # pytest-django raises where a test without its mark meets the database
    assert response.status_code == status
    assert words in response.content.decode()
    assert "division by zero" not in response.content.decode()


@pytest.mark.parametrize("on_record", [True, False])
def test_a_refusal_is_answered_in_words_also_where_it_cannot_be_put_on_record(db, visitor, on_record):
    if not on_record:
        with pytest.raises(DataError), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")  # from here on this transaction takes nothing
    response = visitor.get("/denied/")
    assert response.status_code == 403
    assert "not yours to do" in response.content.decode()


def test_a_failure_tells_the_number_to_name(visitor):
    response = visitor.get("/crash/", headers={"X-Request-ID": "edge-12345"})
    assert "edge-12345" in response.content.decode()


def test_a_form_that_is_too_old_says_how_to_send_it_again(db, visitor):
    response = visitor.post("/form/", {"words": "kept?"})
    assert response.status_code == 403
    assert "send that once more" in response.content.decode()
    assert "kept?" not in response.content.decode()


@pytest.mark.parametrize("address", ["/away/", "/closed/", "/full/"])
def test_an_outage_asks_to_come_back_in_five_seconds(visitor, address):
    response = visitor.get(address)
    assert response.status_code == 503
    assert response["Retry-After"] == "5"


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_takes_too_long_is_broken_off_and_may_be_tried_again(visitor, settings):
    settings.DATABASES["default"]["ATOMIC_REQUESTS"] = True
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        response = visitor.get("/slow/")
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = settings.DATABASES["default"]["ATOMIC_REQUESTS"] = False
    assert (response.status_code, response["Retry-After"]) == (503, "5")


def test_an_outage_outside_of_a_view_is_answered_the_same_way(visitor, monkeypatch):
    def away(self, request):
        raise OperationalError("connection refused")

    monkeypatch.setattr("django.contrib.sessions.middleware.SessionMiddleware.process_request", away)
    response = visitor.get("/private/")
    assert (response.status_code, response["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("address", ["/crash/", "/nothing/", "/away/"])
def test_an_error_page_that_fails_itself_still_answers(visitor, settings, address):
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
    response = visitor.get(address)
    assert response.status_code in {404, 500, 503}
    assert b"Something went wrong" in response.content


def test_only_an_outage_is_called_one():
    assert not views.is_outage(ZeroDivisionError())
    assert views.is_outage(OperationalError())
