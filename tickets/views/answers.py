"""How a view answers when somebody else was first, or when the state does not allow it: 409 and a sentence."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _


def conflict(request: HttpRequest, sentence: str, *, back: str, typed: str = "") -> HttpResponse:
    """Say what happened, keep what was typed, and lead back."""
    facts = {"sentence": sentence, "back": back, "typed": typed}
    return render(request, "tickets/conflict.html", facts, status=409)


def offer_is_closed(request: HttpRequest, *, back: str) -> HttpResponse:
    return conflict(
        request,
        _("This offer has ended: it was answered, withdrawn, or its time was over. Nothing was changed."),
        back=back,
    )
