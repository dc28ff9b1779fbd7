"""The same with a bucket instead of a folder: kept by a setting, private, read only through our view."""

import urllib.request
from datetime import timedelta
from urllib.error import HTTPError

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from aegir_support import files
from tests.files import bucket
from tests.files.samples import kept, picture
from tickets import actions
from tickets.models import Attachment

pytestmark = pytest.mark.django_db


@pytest.fixture
def s3(settings):
    with bucket.in_use(settings) as running:
        yield running
        default_storage.connection.meta.client.close()


def test_a_file_goes_there_and_comes_back(s3, browse, hal, working):
    content = b"%PDF-1.7 " + bytes(300_000)
    actions.reply(working, hal.user, "See.", files=[kept("terms.pdf", content), kept("error.png")])
    first, second = Attachment.objects.all()
    assert set(s3.objects) == {
        f"/files/{path}"
        for path in [first.file.path, second.file.path, second.file.shown_path, second.file.thumbnail_path]
    }
    assert s3.objects[f"/files/{first.file.path}"] == content
    answer = browse(hal).get(f"/attachments/{first.pk}/")
    assert b"".join(answer.streaming_content) == content
    assert answer["Content-Length"] == str(len(content))
    assert answer["Content-Disposition"] == 'attachment; filename="terms.pdf"'
    shown = browse(hal).get(f"/attachments/{second.pk}/thumbnail/")
    assert b"".join(shown.streaming_content)[8:12] == b"WEBP"


def test_nobody_reads_the_bucket_without_our_key(s3):
    file = kept("error.png").file
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(f"{s3.url}/files/{file.path}")  # noqa: S310 - our own bucket
    refused.value.close()
    assert refused.value.code == 403


def test_the_page_never_names_the_bucket(s3, browse, hal, working):
    actions.reply(working, hal.user, "See.", files=[kept("error.png")])
    assert s3.url not in browse(hal).get(f"/tickets/{working.number}/").content.decode()


def test_the_same_bytes_are_kept_once_there_too(s3):
    assert kept("one.txt", b"words").file == kept("two.txt", b"words").file
    assert len(s3.objects) == 1


def test_the_sweep_removes_there_too(s3):
    kept("error.png", picture())
    assert len(s3.objects) == 3
    assert files.sweep(timezone.now() + timedelta(days=2)) == 1
    assert s3.objects == {}
