"""The front door, and what stands below every page."""

import pytest

SOURCE = "https://git.example/support"


@pytest.mark.parametrize("address", ["/", "/accounts/login/"])
def test_every_page_leads_to_the_source_of_what_runs_here(client, settings, address):
    settings.SOURCE_URL = SOURCE
    assert f'<a href="{SOURCE}">source</a>' in client.get(address).content.decode()


def test_there_is_no_empty_link_where_the_source_is_not_named(client):
    assert 'href=""' not in client.get("/").content.decode()


def test_the_shares_on_the_landing_page_are_called_an_example(client):
    page = client.get("/").content.decode()
    assert "An example of how a payment is shared." in page
    assert "today" not in page
