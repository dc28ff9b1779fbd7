"""Business time: hours of a week in a time zone, and sums over them that stay right when the clocks change.

Instants are aware, and those returned are in UTC; sums run over the open spans of each local day. A time that occurs
twice when clocks go back opens at its first and closes at its second; a time that is left out counts as the same
distance past the change.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

_MIDNIGHT = time(0, 0)
_LONGEST_CLOSURE = timedelta(days=400)


class NeverOpen(Exception):
    """The calendar has no open hour, or none within more than a year."""


def today() -> date:
    """Today where the project is at home: a term ends for everybody at once, whoever asks and from where."""
    return timezone.localdate(timezone=timezone.get_default_timezone())


@dataclass(frozen=True)
class Span:
    """Open from `opens` until `closes` on a weekday (0 = Monday). Closing at 00:00 means the day's end."""

    weekday: int
    opens: time
    closes: time

    def __post_init__(self) -> None:
        if not 0 <= self.weekday <= 6:
            raise ValueError("A weekday is 0 (Monday) to 6 (Sunday).")
        if self.closes != _MIDNIGHT and self.closes <= self.opens:
            raise ValueError("A span closes after it opens; hours past midnight are two spans.")


class WeeklyHours:
    """The open hours of a week, without the dates that are `closed` (holidays)."""

    def __init__(self, spans: Collection[Span], time_zone: ZoneInfo, closed: Collection[date] = ()) -> None:
        self.spans = tuple(sorted(spans, key=lambda span: (span.weekday, span.opens)))
        self.time_zone = time_zone
        self.closed = frozenset(closed)

    def add(self, start: datetime, business: timedelta) -> datetime:
        """The first instant by which `business` time has passed since `start`; `start` itself for none.

        A deadline that falls on closing time is that closing time, not the next opening.
        Raises NeverOpen, and ValueError for a negative amount or a naive instant.
        """
        if business < timedelta(0):
            raise ValueError("Business time is added, not taken away.")
        if not business:
            return _utc(start)
        left = business
        start = _utc(start)
        for opens, closes in self._intervals(start):
            begins = max(opens, start)
            if closes - begins >= left:
                return begins + left
            left -= closes - begins
        raise NeverOpen

    def add_business_days(self, start: datetime, days: int) -> datetime:
        """The same time of day, `days` business days later: one day from Monday 15:00 is Tuesday 15:00.

        From outside of a day's hours, the days begin at the next opening and end at a closing: one day from Saturday
        is Monday's close, the same amount of business time. Where the last day is shorter, or is closed at that time,
        it ends at the last open moment before it. Raises NeverOpen, and ValueError for less than one day.
        """
        if days < 1:
            raise ValueError("At least one business day is added.")
        local = _utc(start).astimezone(self.time_zone)
        today = self._day(local.date())
        inside = bool(today) and today[0][0] <= start <= today[-1][1]
        if inside:
            day = self._business_day(local.date() + timedelta(days=1), days)
            return self._latest_open(day, _instant(day, local.time(), self.time_zone))
        tomorrow_at_earliest = not today or start > today[-1][1]
        first = local.date() + timedelta(days=1) if tomorrow_at_earliest else local.date()
        return self._day(self._business_day(first, days))[-1][1]

    def is_open(self, at: datetime) -> bool:
        """Open at this instant. Closing time itself is closed."""
        at = _utc(at)
        return any(opens <= at < closes for opens, closes in self._day(at.astimezone(self.time_zone).date()))

    def next_opening(self, at: datetime) -> datetime:
        """`at` itself while open, else when it opens next. Raises NeverOpen."""
        opens, _closes = next(self._intervals(at))
        return max(opens, _utc(at))

    def between(self, start: datetime, end: datetime) -> timedelta:
        """The business time from `start` to `end`; negative where `end` is the earlier."""
        if end < start:
            return -self.between(end, start)
        start, end = _utc(start), _utc(end)
        passed = timedelta(0)
        day = start.astimezone(self.time_zone).date()
        last = end.astimezone(self.time_zone).date()
        while self.spans and day <= last:
            for opens, closes in self._day(day):
                passed += max(min(closes, end) - max(opens, start), timedelta(0))
            day += timedelta(days=1)
        return passed

    def _intervals(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Open intervals that end after `start`, in order. Raises NeverOpen when the wait for one is too long."""
        start = _utc(start)
        day = start.astimezone(self.time_zone).date()
        last_open = day
        while self.spans and day - last_open <= _LONGEST_CLOSURE:
            for opens, closes in self._day(day):
                if closes > start:
                    last_open = day
                    yield opens, closes
            day += timedelta(days=1)
        raise NeverOpen

    def _business_day(self, first: date, number: int) -> date:
        """The `number`th open day, counted from `first` as the first candidate."""
        day = first
        last_open = first
        while self.spans and day - last_open <= _LONGEST_CLOSURE:
            if self._day(day):
                last_open = day
                number -= 1
                if number == 0:
                    return day
            day += timedelta(days=1)
        raise NeverOpen

    def _latest_open(self, day: date, at: datetime) -> datetime:
        """`at`, brought back into the hours of `day`."""
        intervals = self._day(day)
        result = intervals[0][0]
        for opens, closes in intervals:
            if opens <= at:
                result = min(at, closes)
        return result

    def _day(self, day: date) -> list[tuple[datetime, datetime]]:
        """The open intervals of a local day in UTC, in order and without overlap."""
        if day in self.closed:
            return []
        intervals: list[tuple[datetime, datetime]] = []
        for span in self.spans:
            if span.weekday == day.weekday():
                opens = _instant(day, span.opens, self.time_zone)
                closing_day = day + timedelta(days=1) if span.closes == _MIDNIGHT else day
                closes = _instant(closing_day, span.closes, self.time_zone, last=span.closes != _MIDNIGHT)
                # Spans may overlap, as entered or because a clock change pushes one into the next.
                opens = max(opens, intervals[-1][1]) if intervals else opens
                if closes > opens:
                    intervals.append((opens, closes))
        return intervals


def _instant(day: date, at: time, time_zone: ZoneInfo, *, last: bool = False) -> datetime:
    first = datetime.combine(day, at.replace(fold=0), time_zone).astimezone(UTC)
    second = datetime.combine(day, at.replace(fold=1), time_zone).astimezone(UTC)
    return max(first, second) if last and second > first else first


def _utc(at: datetime) -> datetime:
    # Python adds and subtracts times of one zone by the clock on the wall, which is wrong when the clocks change.
    if at.tzinfo is None:
        raise ValueError("Business time is counted between aware instants.")
    return at.astimezone(UTC)
