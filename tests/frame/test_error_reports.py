"""What a Sentry server is told, and what it is not. Each in a process of its own: what its client changes stays."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings as django_settings

from tests.sentry_server import sentry_server

pytestmark = pytest.mark.processes

SECRET = "k4narienv0gel"
PROGRAM = f"""
import sys
import django
from django.conf import settings
import types

urls = types.ModuleType("failing_urls")
sys.modules["failing_urls"] = urls
settings.ROOT_URLCONF = "failing_urls"
django.setup()

import sentry_sdk
import structlog
from django.http import HttpResponse
from django.urls import include, path
from django.contrib.auth.decorators import login_not_required
from django.test import Client
from aegir_support import celery_app
from aegir_support.urls import handler400, handler403, handler404, handler500

@login_not_required
def fail(request, token):
    password = "{SECRET}-local"
    try:
        int("{SECRET}-inner")
    except ValueError as error:
        raise RuntimeError("words of {SECRET}-message") from error

@login_not_required
def tell(request, token):
    structlog.get_logger("tickets").error("something odd", ticket=41, kind="mail", words="{SECRET}-fact")
    structlog.get_logger("tickets").warning("not worth a report")
    try:
        int("{SECRET}-logged")
    except ValueError:
        structlog.get_logger("tickets").exception("could not read it")
    return HttpResponse("ok")

urls.urlpatterns = [path("fail/<token>/", fail), path("tell/<token>/", tell), path("", include("aegir_support.urls"))]
urls.handler400, urls.handler403, urls.handler404, urls.handler500 = handler400, handler403, handler404, handler500

@celery_app.task(name="tests.fail")
def failing(words):
    raise LookupError(words)

browser = Client(raise_request_exception=False, headers={{"Authorization": "Bearer {SECRET}-header"}})
browser.cookies["sessionid"] = "{SECRET}-cookie"
for address in sys.argv[1:]:
    if address == "task":
        failing.apply(args=["{SECRET}-argument"], task_id="one-job")
    else:
        print(browser.post(address + "?next={SECRET}-query", {{"password": "{SECRET}-body"}}).status_code)
sentry_sdk.flush(5)
"""


def told(*addresses, **variables):
    with sentry_server() as server:
        env = os.environ | {
            "SENTRY_DSN": server.dsn,
            "RELEASE": "2026.11",
            "DJANGO_SETTINGS_MODULE": "aegir_support.settings",
            "DATABASE_URL": "postgresql:///none",
            "DATABASE_POOL_SIZE": "0",
            **variables,
        }
        words = [sys.executable, "-W", "ignore", "-c", PROGRAM, *addresses]
        done = subprocess.run(words, env=env, cwd=django_settings.BASE_DIR, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        raw = b"".join(server.taken)
        assert {kind for kind, _item in server.items} <= {"event"}
        return server.events, raw.decode()


@pytest.fixture(scope="module")
def told_once():
    """What was told of a view that failed, of one that logged two errors, and of a job that failed."""
    return told(f"/fail/{SECRET}-token/", f"/tell/{SECRET}-token/", "task")


def types_of(event):
    return [error["type"] for error in event["exception"]["values"]]


def test_a_view_that_fails_is_told_once_with_its_route_and_no_words(told_once):
    [event, _odd, _unread, _job], raw = told_once
    assert types_of(event) == ["ValueError", "RuntimeError"]
    assert event["transaction"] == "POST /fail/<token>/"
    assert (event["release"], event["environment"]) == ("2026.11", "test")
    assert event["tags"]["request_id"]
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "fail"
    assert SECRET not in json.dumps(without_source(event))
    assert not {"request", "user", "breadcrumbs", "modules", "contexts", "server_name"} & set(event)
    assert '"vars"' not in raw


def without_source(event):
    for error in event["exception"]["values"]:
        for frame in error["stacktrace"]["frames"]:
            for line in ["pre_context", "context_line", "post_context"]:
                frame.pop(line, None)
    return event


def test_an_error_in_the_log_is_told_once_with_its_numbers_and_names(told_once):
    [_view, odd, unread, _job], _raw = told_once
    assert odd["logentry"]["message"] == "something odd"
    assert odd["extra"] == {"ticket": 41, "kind": "mail"}
    assert odd["logger"] == "tickets"
    assert unread["logentry"]["message"] == "could not read it"
    assert types_of(unread) == ["ValueError"]
    assert SECRET not in json.dumps([odd, without_source(unread)])


def test_a_job_that_fails_is_told_once_without_its_arguments(told_once):
    [_view, _odd, _unread, event], _raw = told_once
    assert types_of(event) == ["LookupError"]
    assert event["transaction"] == "tests.fail"
    assert SECRET not in json.dumps(without_source(event))


def test_without_a_dsn_nothing_is_loaded():
    code = "import sys, django; django.setup(); print('sentry_sdk' in sys.modules)"
    env = os.environ | {"SENTRY_DSN": "", "DJANGO_SETTINGS_MODULE": "aegir_support.settings", "DATABASE_POOL_SIZE": "0"}
    words = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(words, env=env, cwd=django_settings.BASE_DIR, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_pages_go_on_when_nobody_takes_the_reports():
    events, _raw = told(f"/fail/{SECRET}-token/", SENTRY_DSN="http://0123456789abcdef@127.0.0.1:9/1")
    assert events == []
