"""Chromium as somebody of the cast, against the real site on a loopback port."""

import os

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import sync_playwright

from members.models import User
from tests.conftest import is_still_them

# Playwright keeps an event loop in this thread, which Django takes for an asynchronous caller; it is not one.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESK = {"width": 375, "height": 800}, {"width": 1280, "height": 900}


_running = []


@pytest.fixture(scope="session")
def chromium():
    """One browser for the whole run. A module elsewhere that imports this gets a fixture of its own, and Playwright
    starts only once in a process."""
    if _running:
        yield _running[0]
        return
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM") or None, args=[*QUIET, *root])
        _running.append(browser)
        yield browser
        _running.clear()
        browser.close()


@pytest.fixture
def open_as(chromium, live_server, transactional_db, cast):
    """`open_as(hal)` gives a page logged in as Hal; what its console complains of is in `page.complaints`."""
    contexts = []

    def open_(person=None, *, dark=False, size=DESK, javascript=True, **options):
        context = chromium.new_context(
            base_url=live_server.url,
            viewport=size,
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
            reduced_motion="reduce",
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        if person is not None:
            context.add_cookies([_session_of(person, live_server.url)])
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda line: page.complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        return page

    yield open_
    for context in contexts:
        context.close()


def _session_of(person, url):
    browser = Client()
    user = User.objects.get(pk=getattr(person, "user", person).pk)
    browser.force_login(user)
    is_still_them(browser, user)
    return {
        "name": settings.SESSION_COOKIE_NAME,
        "value": browser.cookies[settings.SESSION_COOKIE_NAME].value,
        "url": url,
    }
