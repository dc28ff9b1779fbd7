"""How a view answers: on to the next page, or, when somebody else was first, 409 and a sentence."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails


def go_on(request: HttpRequest, address: str) -> HttpResponse:
    """Lead to the next page. A script that sends files is told where it is, so that the page itself goes there."""
    return HttpResponseClientRedirect(address) if HtmxDetails(request) else HttpResponseRedirect(address)


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
