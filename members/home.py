"""The page everybody comes home to is made of panels. Each app adds its own in its `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from .models import User

Facts = Mapping[str, object]


@dataclass(frozen=True)
class Panel:
    """A part of somebody's home. `facts` returns what the template shows, or None where the person has no such thing.

    A panel whose facts hold a `heading` may give the page its first line; the one with the lowest place does.
    """

    template: str
    facts: Callable[[User], Facts | None]
    place: int
    in_rail: bool = False


_panels: list[Panel] = []


def add(template: str, facts: Callable[[User], Facts | None], *, place: int, in_rail: bool = False) -> None:
    _panels.append(Panel(template, facts, place, in_rail))


def panels_for(user: User) -> list[tuple[Panel, Facts]]:
    """The panels this person has something in, in their order."""
    drawn = [(panel, panel.facts(user)) for panel in sorted(_panels, key=lambda panel: panel.place)]
    return [(panel, facts) for panel, facts in drawn if facts is not None]


def sets_up(user: User) -> bool:
    return user.is_staff


def setup(user: User) -> Facts | None:
    """Where an admin begins: what to enter, in the order it is needed."""
    return {"heading": _("What would you like to set up?")} if sets_up(user) else None
