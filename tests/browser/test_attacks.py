"""Words of strangers stay words: classic attacks through subject, description and reply, shown in Chromium."""

import re

import pytest

from aegir_support import text
from tests.attacks import ATTACKS
from tests.tickets.filing import file, offer_of
from tickets import actions, handout

pytestmark = pytest.mark.browser

THIRTY = 30  # what one allowance of the cast takes
TRAP = "window.ran = []; for (const name of ['alert', 'confirm', 'prompt']) window[name] = (x) => window.ran.push(x);"


def test_attacks_do_nothing_on_any_page_that_shows_them(open_as, hal, ana):
    words = "\n\n".join(ATTACKS)
    tickets = [file(hal, subject=text.one_line(attack)[:200], description=attack) for attack in ATTACKS[:THIRTY]]
    ticket = handout.accept(offer_of(tickets[0]), ana)
    actions.reply(ticket, hal.user, words)
    actions.reply(ticket, ana.user, words)
    actions.note(ticket, ana.user, words)
    for person, paths in {
        hal: ["/tickets/", "/home/", *(f"/tickets/{each.number}/" for each in tickets)],
        ana: ["/queue/", "/tickets/", f"/tickets/{ticket.number}/"],
    }.items():
        page = open_as(person)
        page.add_init_script(TRAP)
        for path in paths:
            page.goto(path)
            poke(page)
            assert page.evaluate("window.ran") == []
            assert page.complaints == []
            assert (
                page.evaluate("document.querySelectorAll('main script, main iframe, main object, main img').length")
                == 0
            )


def test_the_same_words_unclean_do_run(open_as, chromium):
    """The control: without cleaning and without our policy a good part of them runs, so the test above can fail."""
    context = chromium.new_context()
    page = context.new_page()
    page.route("**/*", lambda route: route.abort())
    ran = 0
    for attack in [
        each for each in ATTACKS if "alert(1)" in each and re.search("onerror|onload|onfocus|<script>", each)
    ]:
        page.goto("about:blank")
        page.evaluate(TRAP)
        page.set_content(f"<!doctype html><body>{attack}</body>", wait_until="domcontentloaded")
        poke(page)
        page.wait_for_timeout(50)
        ran += bool(page.evaluate("(window.ran || []).length"))
    context.close()
    assert ran >= 5


def poke(page):
    """Touch what waits for a hand: handlers that need the pointer, the focus or a click."""
    page.evaluate(
        """for (const each of document.querySelectorAll('body *'))
             for (const name of ['mouseover', 'focus', 'toggle', 'begin', 'error'])
               each.dispatchEvent(new Event(name))"""
    )
