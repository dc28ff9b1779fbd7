"""What tickets add to the navigation and to people's homes."""

from __future__ import annotations

from django.db.models import Case, Q, When
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.models import contact_of
from members.home import Facts
from members.models import Member, User

from .models import Offer, Ticket


def sees_tickets(user: User) -> bool:
    return user.member is not None or contact_of(user) is not None


def in_the_queue(user: User) -> bool:
    return user.member is not None


def client_tickets(user: User) -> Facts | None:
    """A client's open tickets, those waiting for the client first."""
    contact = contact_of(user)
    if contact is None:
        return None
    unclosed = Ticket.objects.visible_to(user).exclude(status=Ticket.Status.CLOSED)
    theirs_to_answer = Q(status__in=[Ticket.Status.WITH_CLIENT, Ticket.Status.SOLVED])
    tickets = list(unclosed.for_list().order_by(Case(When(theirs_to_answer, then=0), default=1), "-news_at")[:10])
    heading = _client_heading(len(tickets), unclosed.filter(theirs_to_answer).count())
    return {"tickets": tickets, "contact": contact, "heading": heading}


def member_desk(user: User) -> Facts | None:
    """What waits for a member: offers to answer, tickets where the ball is with them."""
    if user.member is None or user.member.status == Member.Status.LEFT:
        return None
    offers = list(Offer.objects.to_answer(user.member, timezone.now()))
    tickets = list(Ticket.objects.assigned_to(user.member).unsettled().for_list()[:10])
    calls = Ticket.objects.visible_to(user).on_open_call().count()
    return {"offers": offers, "tickets": tickets, "calls": calls, "heading": _member_heading(len(offers), calls)}


def watch(user: User) -> Facts | None:
    """What a coordinator keeps moving: late, unowned, refused by all."""
    if not user.is_coordinator:
        return None
    now = timezone.now()
    return {
        "late": Ticket.objects.late(now).for_list()[:10],
        "open_call": Ticket.objects.on_open_call().for_list()[:10],
        "waiting": Ticket.objects.waiting().for_list()[:10],
        "now": now,
    }


def _client_heading(tickets: int, waiting: int) -> str:
    if waiting:
        return ngettext(
            "One ticket is waiting for your answer", "%(n)d tickets are waiting for your answer", waiting
        ) % {"n": waiting}
    if tickets:
        return _("We are working on what you asked for")
    return _("Nothing is open. We are here when you need us")


def _member_heading(offers: int, calls: int) -> str:
    if offers:
        return ngettext(
            "One ticket is waiting for your answer", "%(n)d tickets are waiting for your answer", offers
        ) % {"n": offers}
    if calls:
        return ngettext("One ticket is open to every member", "%(n)d tickets are open to every member", calls) % {
            "n": calls
        }
    return _("Nothing is waiting for your answer")
