"""What strangers send runs nowhere: uploaded through the form, then opened directly in Chromium (G20).

The headers alone must hold it as well: where a browser would not save the file but show it as the page it wants to be,
the sandbox still stops it. And the same files served as they come do run.
"""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type

import pytest
from playwright.sync_api import Error

from tests.browser.conftest import chromium, open_as  # noqa: F401
from tests.files import hostile
from tickets.models import Attachment, Message

pytestmark = pytest.mark.browser

ACTIVE = {"text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml", "text/javascript"}


@contextmanager
def listening(page):
    """What ran on this page, by name."""
    ran = set()

    def asked(request):
        if hostile.RAN in request.url:
            ran.add(request.url.rpartition(hostile.RAN)[2].removesuffix("-too"))

    def spoke(dialog):
        ran.add(dialog.message)
        dialog.dismiss()

    page.on("request", asked)
    page.on("dialog", spoke)
    yield ran
    page.remove_listener("request", asked)
    page.remove_listener("dialog", spoke)


def open_directly(page, address):
    """Go there as somebody who follows a link; True when the browser saves it instead of showing it."""
    saved = []

    def save(download):
        saved.append(download)

    page.once("download", save)
    try:
        page.goto(address)
    except Error:  # "Download is starting" is one to Playwright
        waits = 40
    else:
        waits = 1
    while waits and not saved:
        page.wait_for_timeout(60)
        waits -= 1
    if not saved:
        page.remove_listener("download", save)
    return bool(saved)


def send(page, ticket, files):
    page.goto(f"/tickets/{ticket.number}/")
    form = page.locator(f'form[action="/tickets/{ticket.number}/reply/"]')
    form.locator("textarea").fill("Files.")
    form.locator('input[type="file"]').set_input_files(
        [{"name": name, "mimeType": "text/html", "buffer": content} for name, content in files]
    )
    with page.expect_navigation():
        form.get_by_role("button", name="Send to").click()


@pytest.fixture
def uploaded(open_as, working, hal):  # noqa: F811
    """Everything that would like to run, sent through the form, ten at a time."""
    page, files = open_as(hal), hostile.active()
    with listening(page) as ran:
        for first in range(0, len(files), 10):
            send(page, working, files[first : first + 10])
        page.reload()
        page.wait_for_timeout(200)
    assert ran == set()
    assert page.complaints == []
    assert Attachment.objects.count() == len(files)
    return page


def test_nothing_runs_when_it_is_opened(uploaded):
    page = uploaded
    not_saved = []
    with listening(page) as ran:
        for attachment in Attachment.objects.all():
            if not open_directly(page, f"/attachments/{attachment.pk}/"):
                not_saved.append(attachment.name)
            if attachment.file.is_picture:
                for size in ["picture", "thumbnail"]:
                    assert not open_directly(page, f"/attachments/{attachment.pk}/{size}/")
                    assert page.evaluate("document.contentType") == "image/webp"
    assert ran == set()
    assert not_saved == []
    # The names are as they are shown: one line, no path, nothing that turns letters around.
    assert {"page.html", "reportgnp.html", "nul.html", "site.js"} <= {each.name for each in Attachment.objects.all()}


def test_nothing_runs_even_where_it_is_shown_as_a_page(uploaded):
    """The second wall: our other headers, when saving and the type were not obeyed."""
    page = uploaded
    names = {str(each.pk): each.name for each in Attachment.objects.all()}

    def show_it(route):
        answer = route.fetch()
        headers = {name: value for name, value in answer.headers.items() if name != "content-disposition"}
        kind = guess_type(names[route.request.url.split("/")[-2]])[0]
        route.fulfill(response=answer, headers=headers | {"content-type": kind if kind in ACTIVE else "text/html"})

    page.route("**/attachments/*/", show_it)
    shown = 0
    with listening(page) as ran:
        for pk in names:
            shown += not open_directly(page, f"/attachments/{pk}/")
    assert ran == set()
    assert shown == len(names)


def test_every_answer_carries_its_headers(uploaded, browse, hal):
    for attachment in Attachment.objects.all():
        answer = browse(hal).get(f"/attachments/{attachment.pk}/")
        assert answer["Content-Disposition"].startswith("attachment")
        assert not any(letter in answer["Content-Disposition"] for letter in "\r\n\0\u202e")
        assert answer["Content-Type"].split(";")[0] not in ACTIVE
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer["Content-Security-Policy"]
        assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert Message.objects.filter(attachments__isnull=False).distinct().count() == 3


def test_the_same_files_served_as_they_come_do_run(chromium):  # noqa: F811
    """The control: shown in place, under the type their name or their beginning suggests."""
    files = hostile.active()

    class Careless(BaseHTTPRequestHandler):
        def do_GET(self):
            place = self.path.strip("/")
            name, content = files[int(place)] if place.isdecimal() else ("", b"")
            kind = guess_type(name)[0]
            self.send_response(200)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Careless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = chromium.new_context(base_url=f"http://127.0.0.1:{server.server_port}")
    page = context.new_page()
    with listening(page) as ran:
        for place in range(len(files)):
            open_directly(page, f"/{place}")
    context.close()
    server.shutdown()
    server.server_close()
    assert len(ran) >= 8, ran
    assert {"html", "svg", "xhtml", "nameless"} <= ran
