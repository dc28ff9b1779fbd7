"""The record of deeds as a page: searched by the coordinator and the admin, told in words."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from members.access import signed_in
from members.models import User

from .deeds_search import Search
from .deeds_told import in_groups
from .models import Deed
from .paging import Page

SIZE = 50


def may_read(user: User) -> bool:
    return user.is_coordinator or user.is_superuser


@require_safe
def deeds(request: HttpRequest) -> HttpResponse:
    """What was done and tried, newest first, fifty at a time."""
    if not may_read(signed_in(request)):
        raise PermissionDenied
    search = Search(request.GET)
    page: Page[Deed] = Page([])
    if search.is_valid():
        page = Page.of(search.found(), request.GET, by=["id"], size=SIZE)
    facts = {
        "page": page,
        "groups": in_groups(page.rows),
        "search": search,
        "is_filtered": any(search.data.get(name) for name in search.fields),
    }
    return render(request, "deeds/deeds.html", facts, status=200 if search.is_valid() else 422)
