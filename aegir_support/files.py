"""Files that people send and files we make: kept once by what is in them, under our own names, and never public.

`store` before the transaction that gives the file its reason, then a row of your own with a foreign key to the
StoredFile in it. Whoever may see that row may read the file: access is the reason's, never the file's, so that nobody
learns from a file whether another has sent the same.

The row is written first, then the bytes. A process killed in between leaves a row that nothing points to, and
`sweep` removes what has had no reason for a day.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO, NamedTuple, cast

import puremagic
import structlog
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header

from . import clamav, pictures
from .models import StoredFile
from .text import one_line

log = structlog.get_logger(__name__)

HEAD = 64 * 1024
MAX_NAME = 120
WITHOUT_REASON = timedelta(days=1)
# What a browser may be told of a download; all else is called bytes.
NAMED_TYPES = {*pictures.MEDIA_TYPES.values(), "application/pdf", "application/zip", "application/gzip", "text/plain"}
# Whatever a browser makes of the bytes, it runs nothing and loads nothing (ASVS 5.0, V3.2.1).
POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class NamedFile(NamedTuple):
    """A stored file and the name its sender gave it, cleaned."""

    name: str
    file: StoredFile


class NotReadable(Exception):
    """The file has not been scanned yet, or a scanner named it."""


# Keeping


def store(content: File[bytes]) -> StoredFile:
    """Keep these bytes, once however often they come.

    Not inside a transaction that may be taken back: the row would go and the bytes stay. It does the same work for
    bytes that are here already, so that no sender learns from its time that they were.
    """
    content.seek(0)
    digest = hashlib.file_digest(cast(Any, content), "sha256").hexdigest()
    file = _row(digest, content)
    drawing, media_type = _drawing(content)
    content.seek(0)
    default_storage.save(file.path, content)
    if drawing:
        default_storage.save(file.shown_path, ContentFile(drawing.shown))
        default_storage.save(file.thumbnail_path, ContentFile(drawing.thumbnail))
    file.media_type, file.is_kept = media_type, True
    file.width, file.height = (drawing.width, drawing.height) if drawing else (None, None)
    file.save(update_fields=["media_type", "is_kept", "width", "height"])
    return file


def store_all(uploads: Iterable[File[bytes]]) -> list[NamedFile]:
    """What a form's file field holds, kept, each under its cleaned name and in its order."""
    return [NamedFile(clean_name(upload.name or ""), store(upload)) for upload in uploads]


def _row(digest: str, content: File[bytes]) -> StoredFile:
    """The row of these bytes, new or old; from now on the sweep leaves it alone for a day."""
    now = timezone.now()
    scans = bool(settings.CLAMAV_ADDRESS)
    row = StoredFile(
        sha256=digest,
        size=content.size,
        state=StoredFile.State.PENDING if scans else StoredFile.State.CLEAN,
        wanted_at=now if scans else None,
        seen_at=now,
    )
    # A sweep that is just removing the same row holds its lock: this waits, and then makes the row anew.
    StoredFile.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["sha256"],
        update_fields=["seen_at"],
    )
    if scans:
        # Whoever waits already goes on waiting: a later wish in its place would let them read what is here unscanned.
        StoredFile.objects.filter(sha256=digest, wanted_at=None).update(wanted_at=now)
    return StoredFile.objects.get(sha256=digest)


def _drawing(content: File[bytes]) -> tuple[pictures.Drawing | None, str]:
    """The picture that these bytes are, if we draw it, and what they say they are."""
    try:
        drawing = pictures.draw(cast(BinaryIO, content))
    except pictures.TooLarge as error:
        return None, error.media_type
    return drawing, drawing.media_type if drawing else _media_type(content)


def _media_type(content: File[bytes]) -> str:
    """What the bytes say they are; never the name, never the sender. It names the file and decides nothing else."""
    content.seek(0)
    head = content.read(HEAD)
    try:
        named = puremagic.from_string(head, mime=True) if head else ""
    except (puremagic.PureError, ValueError):
        named = ""
    if named.startswith("image/"):  # it would be a picture if Pillow could read it
        return "application/octet-stream"
    return named[:100] or ("text/plain" if _is_text(head) else "application/octet-stream")


def _is_text(head: bytes) -> bool:
    try:
        words = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) < HEAD:  # else the last letter is only cut in half
            return False
        words = head[: error.start].decode("utf-8")
    return not any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r\f\x1b" for letter in words)


def clean_name(name: str) -> str:
    """A file's name as it is shown: one line, no path, nothing invisible, and its ending still readable.

    Bidirectional marks are left out, which make `report` + U+202E + `gnp.exe` look like a picture.
    """
    # A browser writes these three so that a name fits into its header (HTML, "multipart/form-data").
    sent = name.replace("%22", '"').replace("%0D", " ").replace("%0A", " ")
    flat = one_line(sent.replace("\\", "/").rpartition("/")[2])
    seen = "".join(letter for letter in flat if unicodedata.category(letter) not in {"Cf", "Cc", "Co", "Cn"})
    seen = " ".join(seen.split()).strip(". ")
    stem, dot, ending = seen.rpartition(".")
    if dot and len(ending) <= 12:
        return (stem[: MAX_NAME - len(ending) - 1].rstrip(". ") + dot + ending) if len(seen) > MAX_NAME else seen
    return seen[:MAX_NAME].rstrip(". ") or "file"


# Reading


def as_download(file: StoredFile, name: str) -> StreamingHttpResponse:
    """The file to be saved, never to be shown, under this name. Raises NotReadable."""
    media_type = file.media_type if file.media_type in NAMED_TYPES else "application/octet-stream"
    answer = _answer(file, file.path, media_type)
    answer["Content-Disposition"] = str(content_disposition_header(as_attachment=True, filename=name))
    return answer


def as_picture(file: StoredFile, *, thumbnail: bool = False) -> StreamingHttpResponse:
    """The picture as we drew it, for a page. Raises NotReadable, also where the file is no picture."""
    if not file.is_picture:
        raise NotReadable
    return _answer(file, file.thumbnail_path if thumbnail else file.shown_path, pictures.DRAWN_AS)


def _answer(file: StoredFile, path: str, media_type: str) -> StreamingHttpResponse:
    if file.state != StoredFile.State.CLEAN:
        raise NotReadable
    size = default_storage.size(path)  # where the bytes are gone, this says so before the answer begins
    answer = StreamingHttpResponse(_chunks(path), content_type=media_type)
    answer["Content-Length"] = str(size)
    answer["Content-Security-Policy"] = POLICY
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cross-Origin-Resource-Policy"] = "same-origin"
    answer["Cache-Control"] = "private, no-store"
    return answer


def _chunks(path: str) -> Iterator[bytes]:
    if not connection.in_atomic_block:
        connection.close()  # slow readers would keep the few there are, and others would wait for one
    with default_storage.open(path) as content:
        yield from content.chunks()


# Time


def scan_wanted(*, most: int = 100) -> int:
    """Ask the scanner about files that wait for it, those asked about longest ago first; return how many are decided.

    Where it does not answer, this ends, and the next run begins with another file: one file that the scanner chokes
    on holds nobody else up.
    """
    decided = 0
    while decided < most and (file := _next_to_scan()) and _scan(file):
        decided += 1
    return decided


def _next_to_scan() -> StoredFile | None:
    """The next file, taken: for some minutes no other run asks about it. No row is locked while the scanner works."""
    now = timezone.now()
    with transaction.atomic():
        file = StoredFile.objects.to_scan(now).select_for_update(skip_locked=True).first()
        if file:
            file.asked_at = now
            file.save(update_fields=["asked_at"])
    return file


def _scan(file: StoredFile) -> bool:
    """Write down what the scanner says; False where it says nothing."""
    try:
        infection = _infection(file)
    except clamav.NoAnswer as error:
        log.warning("scanner does not answer, files wait", error=str(error), sha256=file.sha256)
        return False
    state = StoredFile.State.INFECTED if infection else StoredFile.State.CLEAN
    if infection:
        log.warning("infected file withheld", sha256=file.sha256, infection=infection)
    # In one statement: a worker killed between two would leave a file that nobody asks about again.
    decided = StoredFile.objects.filter(pk=file.pk).update(
        state=state, infection=infection, wanted_at=None, asked_at=None
    )
    return bool(decided)


def _infection(file: StoredFile) -> str:
    if not settings.CLAMAV_ADDRESS:  # it has been switched off meanwhile
        return ""
    with default_storage.open(file.path) as content:
        return clamav.name_of_infection(cast(BinaryIO, content), settings.CLAMAV_ADDRESS)


def sweep(now: datetime, *, most: int = 1000) -> int:
    """Remove files that nothing has pointed to for a day: their form was never sent, or a process was killed."""
    removed = 0
    while removed < most and _remove_next(now):
        removed += 1
    return removed


@transaction.atomic
def _remove_next(now: datetime) -> bool:
    unused = StoredFile.objects.unused().filter(seen_at__lt=now - WITHOUT_REASON)
    # Whoever gives it a reason at this moment waits for this lock, and finds the row gone.
    file = unused.select_for_update(skip_locked=True, of=("self",)).order_by("seen_at").first()
    if file is None:
        return False
    file.delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is in use must fail before its bytes are gone
    # With the row still locked, nobody can be writing the same bytes anew.
    for path in [file.path, file.shown_path, file.thumbnail_path]:
        default_storage.delete(path)
    return True
