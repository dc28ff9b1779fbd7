"""Files on their way in: the ceiling over all of them, and the form field that takes several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.utils.datastructures import MultiValueDict
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .files import clean_name

MB = 1_000_000
OVER_CEILING = "aegir_support.over_ceiling"


class Ceiling(FileUploadHandler):
    """Read files past `UPLOAD_MAX_MB` without keeping them, so that nobody fills the disk, and go on with the form.

    What was typed still comes in, and the field below says why the files did not. Of whoever is not logged in no file
    is kept at all: a form is read for its CSRF token before anybody asks who sent it.
    """

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self.total = 0

    def new_file(self, *args: Any, **facts: Any) -> None:
        super().new_file(*args, **facts)
        if not _is_logged_in(self.request):
            raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self.total += len(raw_data)
        if self.total > settings.UPLOAD_MAX_MB * MB:
            if self.request is not None:
                self.request.META[OVER_CEILING] = True
            raise SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Leave the file to the handlers after this one."""


def _is_logged_in(request: Any) -> bool:
    user = getattr(request, "user", None)
    return user is not None and user.is_authenticated


@dataclass(frozen=True)
class Limits:
    """How many files one message takes, and how many bytes of them, each and together."""

    files: int
    file_bytes: int
    total_bytes: int

    @classmethod
    def of(cls, *, files: int, file_mb: int, message_mb: int) -> Limits:
        """These limits, below the ceiling of the whole site."""
        ceiling = settings.UPLOAD_MAX_MB
        return cls(files, min(file_mb, ceiling) * MB, min(message_mb, ceiling) * MB)

    def broken_by(self, uploads: Sequence[File[bytes]]) -> list[str]:
        """A sentence for each limit that these files exceed, and for each file with nothing in it."""
        sentences = []
        if len(uploads) > self.files:
            sentences.append(
                ngettext(
                    "These are %(n)d files; one message takes %(most)d.",
                    "These are %(n)d files; one message takes at most %(most)d.",
                    self.files,
                )
                % {"n": len(uploads), "most": self.files}
            )
        sentences += [
            _("“%(name)s” is too large: %(size)s, and at most %(most)s fit.")
            % {"name": clean_name(each.name or ""), "size": megabytes(each.size), "most": megabytes(self.file_bytes)}
            for each in uploads
            if each.size > self.file_bytes
        ]
        sentences += [
            _("“%(name)s” is empty: there is nothing in it to send.") % {"name": clean_name(each.name or "")}
            for each in uploads
            if not each.size
        ]
        total = sum(each.size for each in uploads)
        if not sentences and total > self.total_bytes:
            sizes = {"size": megabytes(total), "most": megabytes(self.total_bytes)}
            sentences.append(_("Together they are %(size)s; the files of one message may be %(most)s.") % sizes)
        return sentences


def megabytes(size: int) -> str:
    """A size as people read it, in units of a thousand and rounded up: 1.5 MB."""
    if size < 1000:
        return ngettext("%(n)d byte", "%(n)d bytes", size) % {"n": size}
    if size < MB:
        return _("%(n)d kB") % {"n": math.ceil(size / 1000)}
    return _("%(n)s MB") % {"n": f"{math.ceil(size * 10 / MB) / 10:.1f}".removesuffix(".0")}


class FilesInput(forms.FileInput):
    """A file input that takes several, and tells the page's script what fits."""

    allow_multiple_selected = True

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"multiple": True, **(attrs or {})})

    def value_from_datadict(self, data: Any, files: MultiValueDict[str, Any], name: str) -> Any:
        return files.getlist(name) if hasattr(files, "getlist") else [each for each in [files.get(name)] if each]


class FilesField(forms.Field):
    """Any number of files within `limits`; none where there are none. The value is a list of uploads."""

    widget = FilesInput
    limits = Limits(files=10, file_bytes=10 * MB, total_bytes=20 * MB)
    over_ceiling = False

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, label=gettext_lazy("Files"), **options)

    def limit(self, limits: Limits) -> None:
        """Say what fits, to the form and to the page."""
        self.limits = limits
        self.widget.attrs |= {
            "data-files": limits.files,
            "data-file-bytes": limits.file_bytes,
            "data-total-bytes": limits.total_bytes,
        }
        fits = _("Up to %(n)d files, %(each)s each and %(total)s together.") % {
            "n": limits.files,
            "each": megabytes(limits.file_bytes),
            "total": megabytes(limits.total_bytes),
        }
        ways = _("Drop them here, or paste a screenshot.")
        self.help_text = format_html("{} <span data-needs-js hidden>{}</span>", fits, ways)

    def clean(self, value: Any) -> list[File[bytes]]:
        uploads: list[File[bytes]] = list(value or [])
        if self.over_ceiling:
            raise ValidationError(
                _("The files are too large: at most %(most)s fit, and nothing of them was kept.")
                % {"most": megabytes(self.limits.total_bytes)}
            )
        if sentences := self.limits.broken_by(uploads):
            raise ValidationError(sentences)
        return uploads
