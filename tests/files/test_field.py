"""What the file field says: of empty files, of names as browsers write them, of pictures too large to show."""

import pytest

from aegir_support import files
from tests.files.samples import upload
from tests.files.test_attachments import page_of, words
from tickets.models import Attachment, Message

pytestmark = pytest.mark.django_db


def test_an_empty_file_is_named_and_nothing_is_taken(browse, hal, working):
    sent = words(body="Long words.", attachments=[upload("full.log", b"x"), upload("empty.log", b"")])
    answer = browse(hal).post(page_of(working, "reply/"), sent)
    assert answer.status_code == 422
    assert "“empty.log” is empty: there is nothing in it to send." in answer.content.decode()
    assert "Long words." in answer.content.decode()
    assert not Attachment.objects.exists()


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("the %22new%22 one.log", 'the "new" one.log'), ("two%0D%0Alines.txt", "two lines.txt"), ("50%.txt", "50%.txt")],
)
def test_what_a_browser_writes_for_a_quotation_mark_is_read_back(browse, hal, working, sent, shown):
    assert files.clean_name(sent) == shown
    browse(hal).post(page_of(working, "reply/"), words(attachments=upload(sent, b"words")))
    saved = Attachment.objects.get()
    assert saved.name == shown
    assert browse(hal).get(f"/attachments/{saved.pk}/").headers["Content-Disposition"].startswith("attachment")


def test_a_picture_too_large_to_draw_says_so(browse, hal, working, monkeypatch):
    monkeypatch.setitem(files.pictures.MAX_PIXELS, "PNG", 60 * 40 - 1)
    browse(hal).post(page_of(working, "reply/"), words(attachments=upload("wide.png")))
    page = " ".join(browse(hal).get(page_of(working)).content.decode().split())
    saved = Attachment.objects.get()
    assert (saved.kind, saved.file.is_picture) == ("Picture", False)
    assert "too large to show here" in page
    assert f"/attachments/{saved.pk}/thumbnail/" not in page


def test_a_picture_that_is_shown_does_not(browse, hal, working):
    browse(hal).post(page_of(working, "reply/"), words(attachments=upload("wide.png")))
    assert "too large to show here" not in browse(hal).get(page_of(working)).content.decode()


@pytest.mark.parametrize(("sent", "said"), [([], False), ([upload("a.log", b"x")], True)])
def test_files_without_words_are_asked_for_some(browse, hal, working, sent, said):
    answer = browse(hal).post(page_of(working, "reply/"), words(body=" ", attachments=sent))
    assert answer.status_code == 422
    assert ("Say in a few words what the files are." in _errors(answer)) is said
    assert Message.objects.filter(ticket=working).count() == 1


def _errors(answer):
    """What stands in the answer's lines in red, and not in what its script may say."""
    return " ".join(part.split("</div>")[0] for part in answer.content.decode().split('class="field-error" id=')[1:])
