"""The state of the work, in numbers."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Min, OuterRef, Subquery
from django.utils import timezone
from prometheus_client.metrics_core import Metric

from aegir_support.metrics import gauge

from .models import Event, Offer, Ticket

# From these on the queue looks for somebody.
_SOUGHT_SINCE = (Event.Kind.FILED, Event.Kind.GIVEN_BACK, Event.Kind.REOPENED)


def queue() -> Iterator[Metric]:
    now = timezone.now()
    there = Ticket.objects.exclude(status=Ticket.Status.CLOSED).values("status").order_by().annotate(n=Count("pk"))
    found = {row["status"]: row["n"] for row in there}
    open_states = [status for status in Ticket.Status.values if status != Ticket.Status.CLOSED]
    sought = Event.objects.filter(ticket=OuterRef("pk"), kind__in=_SOUGHT_SINCE).order_by("-at").values("at")[:1]
    oldest = Ticket.objects.unassigned().annotate(sought_since=Subquery(sought)).aggregate(at=Min("sought_since"))["at"]
    yield gauge(
        "support_tickets",
        "Tickets that are not closed.",
        {state: found.get(state, 0) for state in open_states},
        label="status",
    )
    yield gauge(
        "support_tickets_oldest_unassigned_seconds",
        "How long the queue has been looking for somebody for the ticket that has waited longest.",
        (now - oldest).total_seconds() if oldest else 0.0,
    )
    yield gauge(
        "support_tickets_late_first_response",
        "Tickets whose promised first response is overdue.",
        Ticket.objects.late(now).count(),
    )
    yield gauge(
        "support_tickets_open_call", "Tickets that any member may claim.", Ticket.objects.on_open_call().count()
    )
    yield gauge(
        "support_offers_overdue",
        "Open offers whose time is over; the sweep ends them.",
        Offer.objects.overdue(now).count(),
    )
