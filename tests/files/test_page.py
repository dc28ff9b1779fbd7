"""The form as people meet it: files add up, are dropped and pasted, arrive with a bar, and nothing is lost."""

import json

import pytest

from billing.models import Tier
from tests.browser.conftest import PHONE, chromium, open_as  # noqa: F401
from tests.files.samples import picture
from tickets.models import Attachment

pytestmark = pytest.mark.browser


def payload(name, content=b"words"):
    return {"name": name, "mimeType": "text/plain", "buffer": content}


@pytest.fixture
def form(open_as, working, hal):  # noqa: F811
    page = open_as(hal)
    page.goto(f"/tickets/{working.number}/")
    return page.locator(f'form[action="/tickets/{working.number}/reply/"]')


def choose(form, *files):
    form.locator('input[type="file"]').set_input_files(list(files))


def chosen(form):
    return form.locator("[data-chosen] bdi").all_inner_texts()


def send(form):
    with form.page.expect_navigation():
        form.get_by_role("button", name="Send to").click()


def give(form, event, files, where="textarea"):
    """Drop or paste these files, as a browser tells the page of it."""
    form.locator(where).first.evaluate(
        """(target, [name, files]) => {
            const data = new DataTransfer();
            for (const [name, type, words] of files) data.items.add(new File([words], name, { type }));
            const facts = { bubbles: true, cancelable: true };
            target.dispatchEvent(name === "paste"
                ? new ClipboardEvent(name, { ...facts, clipboardData: data })
                : new DragEvent(name, { ...facts, dataTransfer: data }));
        }""",
        [event, files],
    )


def test_files_chosen_dropped_and_pasted_add_up_and_can_be_taken_out(form):
    choose(form, payload("one.txt"))
    choose(form, payload("two.txt"))
    give(form, "drop", [["three.log", "text/plain", "words"]], where=".actions")
    give(form, "paste", [["image.png", "image/png", "not really"]])
    assert chosen(form)[:3] == ["one.txt", "two.txt", "three.log"]
    assert chosen(form)[3].startswith("screenshot 2")
    form.get_by_role("button", name="Remove two.txt").press("Enter")
    assert len(chosen(form)) == 3
    form.locator("textarea").fill("See there.")
    send(form)
    names = [each.name for each in Attachment.objects.all()]
    assert names[:2] == ["one.txt", "three.log"]
    assert form.page.get_by_text("Sent.", exact=True).is_visible()
    assert form.page.locator(".attachment").count() == 3
    assert form.locator("textarea").input_value() == ""
    assert form.page.complaints == []


def test_what_does_not_fit_is_said_before_it_is_sent(form, working):
    assert form.get_by_text("Drop them here, or paste a screenshot.").is_visible()
    choose(form, payload("fits.txt"), payload("large.bin", bytes(20_000_001)))
    assert chosen(form) == ["fits.txt"]
    assert form.get_by_role("alert").inner_text() == "large.bin is too large: 20.1 MB, and at most 20 MB fit."
    choose(form, *[payload(f"{n}.txt") for n in range(11)])
    assert len(chosen(form)) == 10
    alert, told = form.get_by_role("alert"), form.locator("[data-told]")
    assert alert.inner_text() == "Not taken: 9.txt, 10.txt. One message takes at most 10 files."
    assert told.inner_text() == "Chosen: fits.txt, " + ", ".join(f"{n}.txt" for n in range(9))
    form.get_by_role("button", name="Remove 0.txt").click()
    assert not alert.is_visible()
    assert told.inner_text() == "Chosen: fits.txt, " + ", ".join(f"{n}.txt" for n in range(1, 9))


def test_what_is_too_much_together_is_named_and_the_next_question_keeps_its_distance(form, working):
    Tier.objects.filter(pk=working.tier_id).update(file_mb=1, message_mb=1)
    form.page.reload()
    give(form, "drop", [["a.bin", "", "x"]])
    choose(form, payload("b.bin", bytes(999_999)), payload("c.bin", bytes(2)), payload("empty.txt", b""))
    said = "Not taken: c.bin. Together the files of one message may be 1 MB."
    alert = form.get_by_role("alert")
    assert alert.inner_text() == f"empty.txt is empty: there is nothing in it to send. {said}"
    assert form.locator("[data-chosen] .muted").all_inner_texts() == ["1 byte", "1000 kB"]
    assert alert.evaluate("line => getComputedStyle(line).marginBottom") == "20px"
    for name in ["a.bin", "b.bin"]:
        form.get_by_role("button", name=f"Remove {name}").click()
    assert form.locator("[data-told]").inner_text() == "No file is chosen."


def test_dropped_beside_the_only_form_a_file_goes_to_it(form):
    give(form.page, "drop", [["beside.txt", "text/plain", "words"]], where="h1")
    assert chosen(form) == ["beside.txt"]
    assert not form.page.locator("[data-beside]").count()


def test_dropped_beside_several_forms_a_file_goes_nowhere_and_that_is_said(form):
    form.evaluate("form => form.after(form.cloneNode(true))")
    give(form.page, "drop", [["beside.txt", "text/plain", "words"]], where="h1")
    assert form.page.locator("[data-chosen] bdi").count() == 0
    said = "Nothing was taken: drop the files on the form that they belong to."
    assert form.page.locator("#messages").inner_text() == said


def test_files_without_words_are_asked_for_some_beside_the_box(form):
    choose(form, payload("one.txt"))
    form.get_by_role("button", name="Send to").click()
    said = form.get_by_text("Say in a few words what the files are.")
    assert said.is_visible()
    box = form.locator("textarea")
    assert box.evaluate("box => document.activeElement === box")
    assert said.get_attribute("id") in box.get_attribute("aria-describedby").split()
    box.press_sequentially("S")
    assert said.count() == 0
    send(form)
    assert Attachment.objects.get().name == "one.txt"


def test_a_quotation_mark_in_a_name_arrives_as_one(form):
    choose(form, payload('the "new" one.log'))
    form.locator("textarea").fill("See there.")
    send(form)
    assert Attachment.objects.get().name == 'the "new" one.log'


def test_the_servers_answer_comes_back_with_words_and_files(form, working):
    """The tier was given tighter limits after the page was drawn."""
    choose(form, payload("one.txt"), payload("two.txt", bytes(1_500_000)))
    form.locator("textarea").fill("Long words.")
    Tier.objects.filter(pk=working.tier_id).update(file_mb=1, message_mb=1)
    form.get_by_role("button", name="Send to").click()
    page = form.page
    page.get_by_text("“two.txt” is too large").first.wait_for()
    assert form.locator("textarea").input_value() == "Long words."
    assert chosen(form) == ["one.txt"]  # the larger one does not fit any more, and the page says so
    send(form)
    assert [each.name for each in Attachment.objects.all()] == ["one.txt"]


def test_sending_can_be_cancelled_and_done_again(form):
    page = form.page
    choose(form, payload("one.txt"))
    form.locator("textarea").fill("See there.")
    page.route("**/reply/", lambda route: None)  # never answered
    form.get_by_role("button", name="Send to").click()
    assert form.get_by_role("progressbar").is_visible()
    assert form.get_by_role("button", name="Send to").is_disabled()
    form.get_by_role("button", name="Cancel").press("Enter")
    assert form.get_by_role("alert").inner_text() == "Cancelled. Nothing was sent."
    page.unroute_all()
    assert chosen(form) == ["one.txt"]
    send(form)
    assert Attachment.objects.count() == 1


def test_a_broken_connection_keeps_words_and_files(form):
    page = form.page
    choose(form, payload("one.txt"))
    form.locator("textarea").fill("See there.")
    page.route("**/reply/", lambda route: route.abort())
    form.get_by_role("button", name="Send to").click()
    assert "Your words and files are still here" in form.get_by_role("alert").inner_text()
    page.unroute_all()
    send(form)
    assert Attachment.objects.count() == 1


@pytest.mark.parametrize("status", [503, 429, 413])  # the last is a proxy's, for whom it is too much
def test_too_busy_leaves_the_form_as_it_is(form, status):
    page = form.page
    choose(form, payload("one.txt"))
    form.locator("textarea").fill("See there.")
    body = "<main><h1>We are away for a moment</h1><p>Try again.</p></main>"
    page.route("**/reply/", lambda route: route.fulfill(status=status, body=body, content_type="text/html"))
    form.get_by_role("button", name="Send to").click()
    form.get_by_text("We are away for a moment. Try again.").wait_for()
    assert chosen(form) == ["one.txt"]
    assert form.locator("textarea").input_value() == "See there."


def test_it_works_without_a_script(open_as, working, hal):  # noqa: F811
    page = open_as(hal, javascript=False)
    page.goto(f"/tickets/{working.number}/")
    form = page.locator(f'form[action="/tickets/{working.number}/reply/"]')
    assert form.get_by_text("Up to 10 files").is_visible()
    assert not form.get_by_text("Drop them here").is_visible()
    form.locator("textarea").fill("See there.")
    choose(form, payload("error.png", picture()), payload("two.txt"))
    form.get_by_role("button", name="Send to").click()
    assert [each.name for each in Attachment.objects.all()] == ["error.png", "two.txt"]
    assert page.locator(".attachment").count() == 2


def test_a_ticket_is_filed_with_a_file_on_a_phone(open_as, hal):  # noqa: F811
    page = open_as(hal, size=PHONE, dark=True)
    page.goto("/tickets/new/")
    page.get_by_label("In a few words").fill("Verify fails")
    page.get_by_label("What happens").fill("See the picture.")
    page.locator('input[type="file"]').set_input_files(
        [{"name": "a very long name " * 6 + ".png", "mimeType": "image/png", "buffer": picture()}]
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with page.expect_navigation():
        page.get_by_role("button", name="File the ticket").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    thumbnail = page.locator(".attachment img")
    thumbnail.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.attachment img').complete")
    assert thumbnail.evaluate("image => image.naturalWidth") == 60
    assert json.dumps(page.complaints) == "[]"
