"""Who is not logged in is led to log-in, also when only a part of a page asks."""

import pytest

PART = {"HX-Request": "true", "HX-Current-URL": "http://testserver/home/?shown=2"}


@pytest.fixture
def ended(browse, ana):
    """Ana's browser, whose session has ended while the page was open."""
    browser = browse(ana)
    browser.session.flush()
    return browser


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_part_of_a_page_whose_session_ended_leads_the_page_to_log_in(ended, method):
    response = getattr(ended, method)("/queue/offers/", headers=PART)
    assert (response.status_code, response.content) == (200, b"")
    assert response["HX-Redirect"] == "/accounts/login/?next=%2Fhome%2F%3Fshown%3D2"


def test_it_comes_back_to_no_page_of_others(ended):
    response = ended.get("/queue/offers/", headers=PART | {"HX-Current-URL": "https://evil.example/x"})
    assert response["HX-Redirect"] == "/accounts/login/?next=%2F"


def test_a_page_goes_on_to_be_led_there_itself(ended):
    response = ended.get("/home/")
    assert (response.status_code, response["Location"]) == (302, "/accounts/login/?next=/home/")


def test_a_part_of_a_page_with_a_session_is_drawn(browse, ana):
    response = browse(ana).get("/queue/offers/", headers=PART)
    assert "HX-Redirect" not in response
