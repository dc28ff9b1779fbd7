"""What the top of every page offers. Each app adds its pages in its `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django_stubs_ext import StrPromise

from .access import is_person
from .models import User


@dataclass(frozen=True)
class Entry:
    """A page in the navigation: its words, the name of its address, who sees it, and its place from the left."""

    label: StrPromise
    url_name: str
    shown_to: Callable[[User], bool]
    place: int


_entries: list[Entry] = []
_sides: list[Callable[[User], str]] = []


def add(label: StrPromise, url_name: str, *, shown_to: Callable[[User], bool], place: int) -> None:
    """Offer a page to whoever it is shown to."""
    _entries.append(Entry(label, url_name, shown_to, place))


def name_side(side: Callable[[User], str]) -> None:
    """Let the top of the page say for whom somebody is here: "Hal · Riverbank Library"."""
    _sides.append(side)


def navigation(request: HttpRequest) -> dict[str, object]:
    """For every page: what this person may go to, asked only where a page shows it."""
    return {
        "navigation": SimpleLazyObject(lambda: _for(request)),
        "user_label": SimpleLazyObject(lambda: _label(request)),
    }


def _for(request: HttpRequest) -> list[dict[str, object]]:
    user = getattr(request, "user", None)
    if user is None or not is_person(user):
        return []
    shown = sorted((entry for entry in _entries if entry.shown_to(user)), key=lambda entry: entry.place)
    return [_item(entry, request.path) for entry in shown]


def _label(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    if user is None or not is_person(user):
        return ""
    member = user.member.name if user.member else ""
    sides = [side for side in [member, *(name(user) for name in _sides)] if side and side != user.name]
    return " · ".join([user.first_name if sides else user.name, *sides])


def _item(entry: Entry, path: str) -> dict[str, object]:
    url = reverse(entry.url_name)
    return {"label": entry.label, "url": url, "active": path.startswith(url)}
