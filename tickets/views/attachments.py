"""Files of messages: saved by whoever may read the message, and shown only as pictures that we drew ourselves."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from aegir_support import files

from ..models import Attachment


@require_safe
def attachment(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The file, to be saved. One that is not known to be clean is never sent."""
    found = _visible(request, pk)
    if not found.is_readable:
        return _not_readable(request, found)
    return files.as_download(found.file, found.name)


@require_safe
def attachment_picture(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The picture as we drew it, large."""
    return files.as_picture(_picture(request, pk).file)


@require_safe
def attachment_thumbnail(request: HttpRequest, pk: int) -> HttpResponseBase:
    return files.as_picture(_picture(request, pk).file, thumbnail=True)


def _visible(request: HttpRequest, pk: int) -> Attachment:
    theirs = Attachment.objects.visible_to(request.user).select_related("file", "message__ticket")
    return get_object_or_404(theirs, pk=pk)


def _picture(request: HttpRequest, pk: int) -> Attachment:
    found = _visible(request, pk)
    if not found.is_readable or not found.file.is_picture:
        raise Http404
    return found


def _not_readable(request: HttpRequest, found: Attachment) -> HttpResponse:
    return render(request, "tickets/attachment.html", {"attachment": found}, status=409)
