from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from .models import partner_of


@require_safe
def referral_list(request: HttpRequest) -> HttpResponse:
    """A partner's own referrals."""
    partner = partner_of(request.user)
    if partner is None:
        raise Http404
    return render(request, "referrals/referral_list.html", {"partner": partner})
