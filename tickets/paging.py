"""Pages of a list that cost the same however far one goes: by the last row's key, not by counting (keyset paging)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Q

from .models import Ticket, TicketQuerySet

SIZE = 25


@dataclass(frozen=True)
class Page:
    """Up to 25 tickets, and the query that shows the next older ones."""

    tickets: list[Ticket]
    older: str
    newest: str

    @classmethod
    def of(cls, tickets: TicketQuerySet, query: Mapping[str, str]) -> Page:
        """The page that begins behind the ticket named in the query; a query that means nothing begins at the top."""
        before = _before(query.get("before", ""))
        if before:
            news_at, number = before
            tickets = tickets.filter(Q(news_at__lt=news_at) | Q(news_at=news_at, number__lt=number))
        rows = list(tickets[: SIZE + 1])
        kept = {name: value for name, value in query.items() if name != "before"}
        last = rows[SIZE - 1] if len(rows) > SIZE else None
        older = "?" + urlencode({**kept, "before": f"{last.news_at.isoformat()}~{last.number}"}) if last else ""
        return cls(rows[:SIZE], older, "?" + urlencode(kept) if before else "")


def _before(value: str) -> tuple[datetime, int] | None:
    stamp, _dash, number = value.rpartition("~")
    try:
        at = datetime.fromisoformat(stamp)
        return (at, int(number)) if at.tzinfo else None
    except ValueError:
        return None
