"""The pages around too many tries, as somebody sees them who types: fit to read, and no button that cannot work."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import DESK, PHONE

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("dark", "size"), [(False, DESK), (True, PHONE)], ids=["desk, light", "phone, dark"])
def test_too_many_tries_are_announced_and_then_told(open_as, settings, dark, size):
    settings.RATE_LIMITS = True
    page, seen = open_as(dark=dark, size=size), []
    page.goto("/accounts/login/")
    for _ in range(11):
        page.fill("#id_login", "nobody@nowhere.example")
        page.fill("#id_password", "wrong")
        page.get_by_role("button", name="Log in", exact=True).click()
        if page.get_by_text("2 tries are left with this address").is_visible():
            seen.append("warned")
            assert faults_of(page) == []
    assert seen == ["warned"]
    assert page.get_by_role("heading", level=1).inner_text() == "Too many tries"
    assert faults_of(page) == []
    assert page.locator("main button").count() == 0
    page.get_by_role("link", name="Back", exact=True).click()
    assert page.url.endswith("/accounts/login/")


def faults_of(page):
    found = [each["id"] for each in Axe().run(page).response["violations"]]
    return found + ["wider than the screen"] * page.evaluate("document.documentElement.scrollWidth > innerWidth")
