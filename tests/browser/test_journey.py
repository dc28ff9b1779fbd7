"""The main job in Chromium, as a newcomer would do it; with JavaScript and without."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESK, PHONE
from tickets.models import Ticket

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_ticket_goes_round_the_queue_and_gets_solved(open_as, hal, ana, bo, javascript, size):
    def as_(person):
        return open_as(person, javascript=javascript, size=size)

    # Hal sees what is left and what is promised, and files.
    client = as_(hal)
    client.goto("/tickets/new/")
    expect(client.get_by_text("40 of 40 tickets left").first).to_be_visible()
    client.get_by_label("In a few words").fill("Verify task fails after the upgrade to 3.19")
    client.get_by_label("What happens, and what should happen?").fill("Every verify ends with `Could not write`.")
    client.get_by_text("S2 · works badly", exact=True).click()
    client.get_by_role("button", name="File the ticket").click()
    expect(client.get_by_role("heading", level=1)).to_contain_text("Verify task fails")
    number = Ticket.objects.get().number

    # Ana is asked first and refuses; Bo is asked next and accepts.
    member = as_(ana)
    member.goto("/queue/")
    expect(member.get_by_role("heading", level=1)).to_contain_text("waiting for your answer")
    refuse(member)
    expect(member.get_by_text("Passed on to the next member.")).to_be_visible()
    member = as_(bo)
    member.goto("/queue/")
    member.get_by_role("button", name="Accept").first.click()
    expect(member).to_have_url(f"{member.url.split('/tickets')[0]}/tickets/{number}/")

    # Bo answers, decides and solves.
    member.locator("form[action$='/reply/'] textarea").fill("The group write bit was lost.")
    member.get_by_role("button", name="Send to Riverbank Library").click()
    expect(member.locator(".msg.member")).to_contain_text("The group write bit was lost.")
    decide(member, "In scope")
    unfold(member, "form[action$='/solve/']")
    member.locator("form[action$='/solve/'] textarea").fill("It is back; verify runs.")
    member.locator("form[action$='/solve/'] button[type=submit], form[action$='/solve/'] button:not([type])").click()
    expect(member.get_by_text("Solved").first).to_be_visible()

    # Hal confirms.
    client.goto(f"/tickets/{number}/")
    client.get_by_role("button", name="Yes, it is solved").click()
    expect(client.get_by_text("Closed. Thank you.")).to_be_visible()
    assert Ticket.objects.get().status == Ticket.Status.CLOSED
    assert client.complaints == member.complaints == []


def refuse(page):
    unfold(page, "form[action$='/refuse/']")
    page.locator("form[action$='/refuse/'] button").last.click()


def decide(page, verdict):
    unfold(page, "form[action$='/verdict/']")
    form = page.locator("form[action$='/verdict/']")
    if form.locator("select").count():
        form.locator("select").select_option(label=verdict)
    else:
        form.get_by_label(verdict, exact=True).check()
    form.locator("button").last.click()


def unfold(page, selector):
    """Open the <details> or dialog that a form is folded into, as a reader would."""
    form = page.locator(selector)
    folded = page.locator(f"details:has({selector}):not([open]) > summary")
    for index in range(folded.count()):
        folded.nth(index).click()
    expect(form.last).to_be_visible()
