"""What is sent is kept once, whole, under our own name, and for as long as something points to it."""

import hashlib
import io
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from PIL import Image

from aegir_support import files, pictures
from aegir_support.models import StoredFile
from tests.files.samples import kept, picture, upload
from tests.races import elsewhere
from tickets import actions

pytestmark = pytest.mark.django_db


def on_disk(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_file_lies_under_its_hash_whatever_it_is_called(own_folder):
    name, file = kept("../../etc/passwd.png", b"words")
    assert name == "passwd.png"
    assert file.sha256 == hashlib.sha256(b"words").hexdigest()
    assert on_disk(own_folder) == [own_folder / file.sha256[:2] / file.sha256[2:4] / file.sha256]
    assert on_disk(own_folder)[0].stat().st_mode & 0o777 == 0o600


def test_the_same_bytes_are_kept_once(own_folder):
    assert kept("one.txt", b"words").file == kept("two.txt", b"words").file
    assert StoredFile.objects.count() == len(on_disk(own_folder)) == 1


def test_no_address_leads_to_the_storage():
    with pytest.raises(ValueError, match="private"):
        default_storage.url("ab/cd/abcd")


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (picture("PNG"), "image/png"),
        (picture("JPEG"), "image/jpeg"),
        (picture("GIF"), "image/gif"),
        (picture("WEBP"), "image/webp"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
        (b"plain words, with \xc3\x86gir\n", "text/plain"),
        (b"\x00\x01\x02nothing known", "application/octet-stream"),
        (b"\x89PNG\r\n\x1a\n and nothing more", "application/octet-stream"),
        (b"", "text/plain"),
    ],
)
def test_the_bytes_say_what_it_is_and_its_name_does_not(content, media_type):
    assert kept("page.html", content).file.media_type == media_type


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("error.log", "error.log"),
        ("C:\\fakepath\\error.log", "error.log"),
        ("../../error.log", "error.log"),
        ("report\u202egnp.exe", "reportgnp.exe"),
        ("a\x00b\r\nc.txt", "ab c.txt"),
        ("zero\u200bwidth\u2066.txt", "zerowidth.txt"),
        ("...", "file"),
        ("", "file"),
        ("  .htaccess. ", "htaccess"),
        ("e\u0301tat.pdf", "\u00e9tat.pdf"),
        ("x" * 300 + ".tar", "x" * 116 + ".tar"),
        ("x" * 300, "x" * 120),
        ("\u202e\u200b", "file"),
    ],
)
def test_a_name_is_one_line_that_shows_all_it_has(sent, shown):
    assert files.clean_name(sent) == shown
    assert files.clean_name(shown) == shown


def test_a_picture_is_drawn_anew_without_what_came_along():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    exif[0x010E] = "taken at home"
    content = picture("JPEG", size=(300, 200), exif=exif) + b"<script>alert(1)</script>"
    file = kept("photo.jpg", content).file
    with default_storage.open(file.shown_path) as shown:
        drawn = shown.read()
    with Image.open(io.BytesIO(drawn)) as seen:
        assert (seen.format, seen.size) == ("WEBP", (200, 300))
        assert not dict(seen.getexif())
    assert b"taken at home" not in drawn
    assert b"<script>" not in drawn
    assert (file.width, file.height) == (200, 300)


def test_a_large_picture_is_shown_smaller():
    drawing = pictures.draw(io.BytesIO(picture("PNG", size=(5000, 1000))))
    assert (drawing.width, drawing.height) == (2048, 410)
    with Image.open(io.BytesIO(drawing.thumbnail)) as thumbnail:
        assert thumbnail.size == (480, 96)


@pytest.mark.parametrize("cut", [30, 60, 0.5, 0.8])
def test_a_broken_picture_is_a_file_to_save(cut):
    whole = picture("JPEG", size=(400, 400))
    file = kept("cut.png", whole[: cut if cut > 1 else int(len(whole) * cut)]).file
    assert not file.is_picture
    assert file.media_type == "application/octet-stream"


# The sweep


def test_what_nothing_points_to_is_removed_after_a_day(own_folder):
    kept("screenshot.png")
    assert files.sweep(timezone.now() + timedelta(hours=23)) == 0
    assert len(on_disk(own_folder)) == 3
    assert files.sweep(timezone.now() + timedelta(hours=25)) == 1
    assert not StoredFile.objects.exists()
    assert on_disk(own_folder) == []


def test_what_is_in_use_stays_for_ever(own_folder, working, hal):
    actions.reply(working, hal.user, "See there.", files=[kept()])
    assert files.sweep(timezone.now() + timedelta(days=1000)) == 0
    assert len(on_disk(own_folder)) == 3


def test_the_database_refuses_to_lose_a_file_in_use(working, hal):
    actions.reply(working, hal.user, "See there.", files=[kept()])
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM aegir_support_storedfile; SET CONSTRAINTS ALL IMMEDIATE")


def test_bytes_that_a_killed_sweep_removed_come_back_with_the_next_sender(own_folder):
    file = kept("note.txt", b"words").file
    default_storage.delete(file.path)
    assert kept("again.txt", b"words").file == file
    with default_storage.open(file.path) as content:
        assert content.read() == b"words"


KILLED = """
import os, django
django.setup()
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from aegir_support import files, storage

class Slow(ContentFile):
    def chunks(self, chunk_size=None):
        yield b"half of it"
        os.kill(os.getpid(), 9)

content = Slow(b"half of it, and the other half", name="words.txt")
files.store(content)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.processes
def test_a_process_killed_while_it_writes_leaves_no_half_file_and_nothing_for_good(own_folder):
    env = elsewhere.environment(FILES_DIR=str(own_folder), DJANGO_SETTINGS_MODULE="aegir_support.settings")
    done = subprocess.run([sys.executable, "-c", KILLED], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    row = StoredFile.objects.get()
    assert not row.is_kept
    assert not default_storage.exists(row.path)
    assert files.store(ContentFile(b"half of it, and the other half")).is_kept  # the next sender makes it whole
    assert files.sweep(timezone.now() + timedelta(days=2)) == 1
    assert on_disk(own_folder) == []


@pytest.mark.django_db(transaction=True)
def test_eight_senders_of_the_same_bytes_at_once_make_one_file(own_folder):
    start, found = threading.Barrier(8), []

    def send():
        try:
            start.wait()
            found.append(files.store(upload("same.txt", b"the same words")).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(on_disk(own_folder)) == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_without_its_guard_breaks():
    """The control: looking first and then writing, as one would, fails for those who looked at the same time."""
    start, errors = threading.Barrier(8), []

    def send():
        try:
            if not StoredFile.objects.filter(sha256="0" * 64).exists():
                start.wait()
                StoredFile.objects.create(sha256="0" * 64, size=1, state="clean")
        except IntegrityError as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 7


def test_files_lie_outside_of_what_is_served(settings):
    folder = Path(settings.FILES_DIR)
    assert not any(folder.is_relative_to(served) for served in settings.STATICFILES_DIRS)
