import io
import json
import logging
import sys

import pytest
import structlog
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.urls import include, path

from aegir_support import logs
from aegir_support.models import Outbox
from aegir_support.urls import handler400, handler403, handler404, handler500  # noqa: F401


def speak(request, token):
    structlog.get_logger("tickets").info("offer opened", ticket=41, password="hunter2", api_token="t0p")
    if token == "crash":
        raise ZeroDivisionError
    return HttpResponse(token)


speak.login_required = False
urlpatterns = [path("offers/<token>/", speak), path("", include("aegir_support.urls"))]


@pytest.fixture
def lines(monkeypatch):
    """What was logged as JSON, line by line."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("INFO", as_json=True)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    monkeypatch.undo()
    logs.configure("WARNING", as_json=False)


pytestmark = pytest.mark.urls(__name__)


def test_each_request_has_one_line_and_its_id_on_all_of_them(client, lines):
    response = client.get("/offers/abc-secret/?next=also-secret", headers={"X-Request-ID": "edge-12345"})
    assert response["X-Request-ID"] == "edge-12345"
    opened, answered = lines()
    assert {"event": "offer opened", "ticket": 41, "level": "info", "logger": "tickets"}.items() <= opened.items()
    assert {"event": "request", "method": "GET", "route": "/offers/<token>/", "status": 200}.items() <= answered.items()
    assert opened["request_id"] == answered["request_id"] == "edge-12345"
    assert answered["ms"] >= 0
    assert answered["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "odd", ["", "short", "x" * 65, "has space 123", 'quote"12345', "line\nbreak12", "../../etc/passwd", "ünïcödé-123"]
)
def test_an_odd_id_from_outside_is_replaced(client, lines, odd):
    response = client.get("/-/health", headers={"X-Request-ID": odd})
    assert response["X-Request-ID"] != odd
    assert len(response["X-Request-ID"]) == 32


def test_no_token_and_no_secret_is_logged(client, lines):
    client.raise_request_exception = False
    client.get("/offers/abc-secret/")
    client.get("/offers/abc-secret/wrong/")
    client.post("/accounts/password/reset/key/abc-secret/", headers={"X-CSRFToken": "abc-secret"})
    said = json.dumps(lines())
    for secret in ("abc-secret", "hunter2", "t0p"):
        assert secret not in said
    assert "(hidden)" in said


def test_a_failure_names_its_route_and_tells_its_traceback_without_variables(client, lines):
    client.raise_request_exception = False
    client.get("/offers/crash/", headers={"X-Request-ID": "edge-12345"})
    failure = next(line for line in lines() if "exception" in line)
    assert "ZeroDivisionError" in failure["exception"]
    assert failure["event"] == "Internal Server Error: /offers/<token>/"
    assert failure["request_id"] == "edge-12345"
    assert "hunter2" not in json.dumps(lines())


@pytest.mark.django_db
def test_lines_name_who_was_logged_in(client, lines, django_user_model):
    person = django_user_model.objects.create_user(email="someone@else.example", password="x" * 12)
    client.force_login(person)
    client.get("/accounts/email/")
    assert lines()[-1]["user_id"] == person.pk
    assert "someone@else.example" not in json.dumps(lines()[-1])


def test_a_request_that_fails_before_its_view_names_its_route_too(client, lines, monkeypatch):
    def fail(self, request):
        raise ZeroDivisionError

    monkeypatch.setattr("django.contrib.sessions.middleware.SessionMiddleware.process_request", fail)
    client.raise_request_exception = False
    client.get("/offers/abc-secret/")
    client.get("/nowhere/abc-secret/")
    assert [line["route"] for line in lines() if line["event"] == "request"] == [
        "/offers/<token>/",
        "(no such address)",
    ]


def test_probes_and_static_files_are_not_worth_a_line(client, lines, db):
    client.get("/-/health")
    client.get("/static/css/site.css").close()
    assert lines() == []


def test_nothing_of_a_request_stays_for_the_next(client, lines):
    client.get("/offers/x/")
    assert logs.request_id() == ""
    structlog.get_logger("x").info("later")
    logging.getLogger("library").warning("plain %s", "words")
    assert "request_id" not in lines()[-2]
    assert {"event": "plain words", "level": "warning", "logger": "library"}.items() <= lines()[-1].items()


def test_a_line_stays_one_line(lines):
    structlog.get_logger("x").info("two\nlines", name="also\r\ntwo\u2028three")
    assert len(lines()) == 1


def test_the_readable_form_reads_in_one_line_too(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("INFO", as_json=False)
    structlog.get_logger("x").info("filed", ticket=41, secret="no")
    monkeypatch.undo()
    logs.configure("WARNING", as_json=False)
    assert "filed" in stream.getvalue()
    assert "ticket=41" in stream.getvalue()
    assert "secret=(hidden)" in stream.getvalue().replace("'", "")


@pytest.mark.django_db
@pytest.mark.parametrize("as_json", [True, False])
def test_a_row_that_failed_is_not_told(monkeypatch, as_json):
    """PostgreSQL adds the whole row to its error, a client's words among it."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("INFO", as_json=as_json)
    for words in ["hunter2", "two lines\nof hunter2\n\nand more hunter2"]:
        try:
            with transaction.atomic():
                Outbox.objects.create(kind="", key=words, payload={"text": words})
        except IntegrityError as error:
            structlog.get_logger("x").exception("failed", error=str(error))
            logging.getLogger("library").error("failed: %s", error, exc_info=error)  # noqa: TRY400
    monkeypatch.undo()
    logs.configure("WARNING", as_json=False)
    said = stream.getvalue()
    assert said.count("outbox_has_kind_and_key") >= 4
    assert "DETAIL: (hidden)" in said
    assert "hunter2" not in said


def test_debug_lines_are_ours_alone(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("DEBUG", as_json=True)
    for name in ["django.template", "django.db.backends", "botocore.auth", "urllib3", "celery.pool", "PIL"]:
        logging.getLogger(name).debug("hunter2")
    structlog.get_logger("tickets.actions").debug("sweep")
    monkeypatch.undo()
    logs.configure("WARNING", as_json=False)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["sweep"]
