"""How the demo's week is told: tales of several tickets, side by side, each step at its moment in the past.

A tale begins so long before now and is told through the actions; a `yield` lets time pass. Times are counted back
from now rather than set by the clock, so that open offers and deadlines are alive whenever the demo is first started.
There is no chance in it: every run tells the same.
"""

from __future__ import annotations

import contextlib
import heapq
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from functools import wraps
from typing import Any, TypeVar, cast

from django.utils import timezone

from members import actions as members_actions
from members.models import Member, User
from tickets import actions as tickets_actions
from tickets import handout as tickets_handout
from tickets.models import Offer, Ticket

from . import deeds

Actors = TypeVar("Actors")
Tale = Iterator[timedelta]
# When it begins, counted back from now, and how it goes: each `yield` lets that much time pass.
Begun = tuple[timedelta, Callable[[Actors], Tale]]

Telling = Callable[[Actors], Tale]

Actions = TypeVar("Actions")


class _InTheirName:
    """A module of actions, each done in the name of the person it is given, as a page does it for who is logged in."""

    def __init__(self, module: object) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        action = getattr(self._module, name)
        if not inspect.isfunction(action):
            return action

        @wraps(action)
        def done(*args: Any, **facts: Any) -> Any:
            who = next(filter(None, map(_person, args)), None)
            with deeds.by(who, what=f"demo:{name}"):
                return action(*args, **facts)

        return done


def _person(given: object) -> User | None:
    if isinstance(given, Member):
        given = given.representatives.select_related("user").first()
    who = getattr(given, "user", given)
    return who if isinstance(who, User) else None


def _in_their_name(module: Actions) -> Actions:
    return cast("Actions", _InTheirName(module))


# What happens in the story, so that the record of deeds tells who did it.
actions = _in_their_name(tickets_actions)
handout = _in_their_name(tickets_handout)
members = _in_their_name(members_actions)

_LAID_OUT = re.compile(r"```|\d+\. |> |\|")
SWEEP_EVERY = timedelta(seconds=30)


def begins(
    tales: list[Begun[Actors]], *, days: int = 0, hours: int = 0, minutes: int = 0
) -> Callable[[Telling[Actors]], Telling[Actors]]:
    """Put a tale among these, to begin so long before now."""

    def put(tale: Telling[Actors]) -> Telling[Actors]:
        tales.append((later(days=days, hours=hours, minutes=minutes), tale))
        return tale

    return put


def later(*, days: int = 0, hours: int = 0, minutes: int = 0) -> timedelta:
    return timedelta(days=days, hours=hours, minutes=minutes)


def words(text: str) -> str:
    """What somebody writes, without the indentation and the line breaks that its paragraphs have in the code."""
    blocks = textwrap.dedent(text).strip().split("\n\n")
    return "\n\n".join(block if _LAID_OUT.match(block) else block.replace("\n", " ") for block in blocks)


def offer_of(ticket: Ticket) -> Offer:
    """The open offer of a ticket."""
    return ticket.offers.open().get()


class _AnyDateTime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class _StoryTime(datetime, metaclass=_AnyDateTime):
    """What `django.utils.timezone` takes for `datetime` while the story is told."""

    moment: datetime

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return cls.moment.astimezone(tz)


@contextlib.contextmanager
def clock_at(moment: datetime) -> Iterator[None]:
    """Let `timezone.now()` say `moment`, everywhere in this process, model defaults included.

    Right only in a command that runs by itself and for the demo: a web server or worker in this process would stamp its
    rows with the story's time. Actions and models ask `timezone.now`, which asks the `datetime` of its module, so that
    one name is the one to replace: references to the function itself, such as `default=timezone.now`, follow.
    """
    real = timezone.datetime  # type: ignore[attr-defined]
    _StoryTime.moment = moment
    timezone.datetime = _StoryTime  # type: ignore[attr-defined]
    try:
        yield
    finally:
        timezone.datetime = real  # type: ignore[attr-defined]


def tell(tales: list[Begun[Actors]], actors: Actors, *, until: datetime) -> None:
    """Tell the tales side by side, ending at `until`; between their steps happens what time asks for."""
    steps = [(until - ago, place, tale(actors)) for place, (ago, tale) in enumerate(tales)]
    heapq.heapify(steps)
    while steps:
        moment, place, tale = heapq.heappop(steps)
        if moment > until:
            raise ValueError(f"A tale of the demo would go on at {moment}, which is after {until}.")
        let_time_pass(moment)
        with clock_at(moment):
            pause = next(tale, None)
        if pause is not None:
            heapq.heappush(steps, (moment + pause, place, tale))
    let_time_pass(until)


def let_time_pass(until: datetime) -> None:
    """Sweep as beat would have: soon after each moment at which an offer or half the time to respond was over."""
    while (due := _next_due()) is not None and due < until:
        with clock_at(min(due + SWEEP_EVERY, until)):
            with deeds.by(None, what="tickets.tasks.sweep"):
                tickets_actions.sweep(timezone.now())
            if _next_due() == due:
                raise RuntimeError(f"The sweep leaves undone what was due at {due}.")


def _next_due() -> datetime | None:
    offers = Offer.objects.open().order_by("answer_by").values_list("answer_by", flat=True)[:1]
    calls = (
        Ticket.objects.filter(status__in=[Ticket.Status.OFFERED, Ticket.Status.WAITING])
        .order_by("open_call_by")
        .values_list("open_call_by", flat=True)[:1]
    )
    return min([*offers, *calls], default=None)
