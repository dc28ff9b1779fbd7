"""What was promised, as instants (B22)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from billing.models import Promise, Severity, Tier
from members.models import Calendar

from .models import OfferWindow, Ticket

# What each severity means, in the form that asks for it and wherever it is named to somebody who must judge it.
SEVERITY_MEANINGS = {
    Severity.S1: _("Sites are down or data is at risk, and there is no way around it."),
    Severity.S2: _("Something important does not work; sites are up."),
    Severity.S3: _("Something does not work, and there is a way around it."),
    Severity.S4: _("A question, or something small."),
}
SHIPPED_WINDOWS = {1: 15, 2: 30, 3: 120, 4: 240}  # minutes; the first migration copies them, and the admin edits them


class NothingPromised(Exception):
    """The tier promises no first response at all, so that no deadline can be said."""


def promises_by_severity(tier: Tier) -> dict[int, Promise]:
    """What the tier promises for each severity; empty when it promises nothing.

    In a gap the promise of the next lighter severity holds, so that something worse never waits longer than something
    lighter; below the lightest, the lightest holds.
    """
    promises = list(tier.promises.order_by("severity"))
    if not promises:
        return {}
    return {
        severity: next((each for each in promises if each.severity >= severity), promises[-1])
        for severity in Severity.values
    }


def promise_for(tier: Tier, severity: int) -> Promise:
    """The tier's first-response promise. Raises NothingPromised."""
    promises = promises_by_severity(tier)
    if severity not in promises:
        raise NothingPromised
    return promises[severity]


def first_response_by(promise: Promise, calendar: Calendar, filed_at: datetime) -> datetime:
    """The latest instant of a first response that keeps the promise, in the client's business hours."""
    match promise.unit:
        case Promise.Unit.BUSINESS_DAYS:
            return calendar.hours.add_business_days(filed_at, promise.amount)
        case Promise.Unit.BUSINESS_HOURS:
            return calendar.hours.add(filed_at, timedelta(hours=promise.amount))
        case _:
            return filed_at + timedelta(hours=promise.amount)


def halfway(start: datetime, end: datetime) -> datetime:
    """When half the time to respond is gone, by the clock; from then on any member may claim (The queue 6)."""
    return start + (end - start) / 2


def answer_by(ticket: Ticket, offered_at: datetime) -> datetime:
    """The end of an offer's window: as edited in the admin, else as shipped."""
    window = OfferWindow.objects.filter(severity=ticket.severity).first()
    return offered_at + timedelta(minutes=window.minutes if window else SHIPPED_WINDOWS[ticket.severity])
