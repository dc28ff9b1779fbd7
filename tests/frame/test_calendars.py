import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from aegir_support.calendars import NeverOpen, Span, WeeklyHours

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NINE_TO_FIVE = [Span(day, time(9), time(17)) for day in range(5)]
OFFICE = WeeklyHours(NINE_TO_FIVE, AMSTERDAM)
WITH_LUNCH = WeeklyHours(
    [Span(day, *span) for day in range(5) for span in ((time(9), time(12)), (time(13), time(17)))], AMSTERDAM
)
SHORT_FRIDAY = WeeklyHours([*NINE_TO_FIVE[:4], Span(4, time(9), time(13))], AMSTERDAM)
ALWAYS = WeeklyHours([Span(day, time(0), time(0)) for day in range(7)], AMSTERDAM)
HOUR = timedelta(hours=1)


def local(text: str, zone: ZoneInfo = AMSTERDAM, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


MONDAY = "2026-11-23"


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-23 10:00", 3, "2026-11-23 13:00"),
        ("2026-11-23 15:00", 4, "2026-11-24 11:00"),
        ("2026-11-23 09:00", 8, "2026-11-23 17:00"),  # a deadline at closing time is not moved to the next morning
        ("2026-11-27 16:00", 2, "2026-11-30 10:00"),
        ("2026-11-21 12:00", 1, "2026-11-23 10:00"),
        ("2026-11-23 03:00", 1, "2026-11-23 10:00"),
        ("2026-11-23 10:00", 0, "2026-11-23 10:00"),
        ("2026-11-22 10:00", 0, "2026-11-22 10:00"),
        ("2026-11-23 09:00", 400, "2027-01-29 17:00"),
    ],
)
def test_business_time_runs_only_while_open(start, hours, end):
    assert OFFICE.add(local(start), hours * HOUR) == local(end)


def test_a_break_at_noon_does_not_count():
    assert WITH_LUNCH.add(local("2026-11-23 11:00"), 2 * HOUR) == local("2026-11-23 14:00")
    assert WITH_LUNCH.between(local("2026-11-23 11:30"), local("2026-11-23 13:30")) == HOUR
    assert not WITH_LUNCH.is_open(local("2026-11-23 12:30"))


def test_hours_past_midnight_are_two_spans_without_a_gap():
    night = WeeklyHours([Span(0, time(22), time(0)), Span(1, time(0), time(6))], AMSTERDAM)
    assert night.add(local("2026-11-23 23:00"), 3 * HOUR) == local("2026-11-24 02:00")
    assert night.is_open(local("2026-11-24 00:00"))


def test_a_holiday_is_skipped():
    christmas = WeeklyHours(NINE_TO_FIVE, AMSTERDAM, closed=[date(2026, 12, 25)])
    assert christmas.add(local("2026-12-24 16:00"), 2 * HOUR) == local("2026-12-28 10:00")
    assert christmas.add_business_days(local("2026-12-24 15:00"), 1) == local("2026-12-28 15:00")
    assert not christmas.is_open(local("2026-12-25 10:00"))


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("2026-11-23 15:00", 1, "2026-11-24 15:00"),
        ("2026-11-27 15:00", 1, "2026-11-30 15:00"),
        ("2026-11-23 15:00", 5, "2026-11-30 15:00"),
        ("2026-11-21 12:00", 1, "2026-11-23 17:00"),  # Saturday
        ("2026-11-23 08:00", 1, "2026-11-23 17:00"),  # before opening
        ("2026-11-23 18:00", 1, "2026-11-24 17:00"),  # after closing
        ("2026-11-23 09:00", 1, "2026-11-24 09:00"),
        ("2026-11-23 17:00", 1, "2026-11-24 17:00"),
        ("2026-11-21 12:00", 2, "2026-11-24 17:00"),
    ],
)
def test_a_business_day_ends_at_the_same_time_of_day(start, days, end):
    assert OFFICE.add_business_days(local(start), days) == local(end)


def test_a_business_day_ends_within_the_hours_of_its_day():
    assert SHORT_FRIDAY.add_business_days(local("2026-11-26 15:00"), 1) == local("2026-11-27 13:00")
    assert WITH_LUNCH.add_business_days(local("2026-11-23 12:30"), 1) == local("2026-11-24 12:00")


def test_who_asks_later_is_never_promised_earlier():
    for hours in (OFFICE, WITH_LUNCH, SHORT_FRIDAY):
        promises = [
            hours.add_business_days(local("2026-11-20 00:00") + half * HOUR / 2, 2) for half in range(24 * 2 * 8)
        ]
        assert promises == sorted(promises)


@pytest.mark.parametrize(
    ("at", "is_open", "next_opening"),
    [
        ("2026-11-23 09:00", True, "2026-11-23 09:00"),
        ("2026-11-23 16:59", True, "2026-11-23 16:59"),
        ("2026-11-23 17:00", False, "2026-11-24 09:00"),
        ("2026-11-27 17:00", False, "2026-11-30 09:00"),
        ("2026-11-28 10:00", False, "2026-11-30 09:00"),
    ],
)
def test_it_opens_on_time_and_is_closed_at_closing_time(at, is_open, next_opening):
    assert OFFICE.is_open(local(at)) is is_open
    assert OFFICE.next_opening(local(at)) == local(next_opening)


def test_a_day_of_25_hours_has_25_and_one_of_23_has_23():
    assert ALWAYS.between(local("2026-10-25 00:00"), local("2026-10-26 00:00")) == 25 * HOUR
    assert ALWAYS.between(local("2026-03-29 00:00"), local("2026-03-30 00:00")) == 23 * HOUR


def test_hours_around_a_clock_change_are_counted_as_they_pass():
    night = WeeklyHours([Span(6, time(1), time(4))], AMSTERDAM)
    assert night.between(local("2026-10-25 00:00"), local("2026-10-25 12:00")) == 4 * HOUR
    assert night.between(local("2026-03-29 00:00"), local("2026-03-29 12:00")) == 2 * HOUR
    assert night.add(local("2026-10-25 01:00"), 2 * HOUR) == local("2026-10-25 02:00", fold=1).astimezone(UTC)


def test_hours_around_a_clock_change_are_counted_from_within():
    assert ALWAYS.add(local("2026-10-25 01:30"), 2 * HOUR) == local("2026-10-25 02:30", fold=1).astimezone(UTC)
    assert ALWAYS.add(local("2026-03-29 01:30"), 2 * HOUR) == local("2026-03-29 04:30")
    assert ALWAYS.between(local("2026-10-25 01:30"), local("2026-10-25 03:30")) == 3 * HOUR


def test_a_time_that_occurs_twice_closes_at_its_second():
    until_half_past_two = WeeklyHours([Span(6, time(1), time(2, 30))], AMSTERDAM)
    assert until_half_past_two.between(local("2026-10-25 00:00"), local("2026-10-25 12:00")) == 2.5 * HOUR
    assert until_half_past_two.is_open(local("2026-10-25 02:15", fold=1))


def test_a_time_that_is_left_out_pushes_into_the_next_span_but_not_over_it():
    split = WeeklyHours([Span(6, time(1), time(2, 30)), Span(6, time(3), time(5))], AMSTERDAM)
    assert split.between(local("2026-03-29 00:00"), local("2026-03-29 12:00")) == 3 * HOUR
    gone = WeeklyHours([Span(6, time(2, 10), time(2, 40))], AMSTERDAM)
    assert gone.next_opening(local("2026-03-29 00:00")) == local("2026-03-29 03:10")


def test_a_business_day_over_a_clock_change_keeps_its_time_of_day():
    every_day = WeeklyHours([Span(day, time(9), time(17)) for day in range(7)], AMSTERDAM)
    start = local("2026-10-24 15:00")
    assert every_day.add_business_days(start, 1) == local("2026-10-25 15:00")
    assert every_day.add_business_days(start, 1) - start.astimezone(UTC) == 25 * HOUR


def test_the_week_is_the_week_of_its_own_time_zone():
    auckland = WeeklyHours(NINE_TO_FIVE, ZoneInfo("Pacific/Auckland"))
    sunday_evening_in_utc = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
    assert auckland.is_open(sunday_evening_in_utc)
    assert auckland.next_opening(sunday_evening_in_utc - 9 * HOUR) == local("2026-11-23 09:00", auckland.time_zone)


def test_who_is_never_open_is_never_promised_anything():
    never = WeeklyHours([], AMSTERDAM)
    at = local("2026-11-23 10:00")
    for promise in (
        lambda: never.add(at, HOUR),
        lambda: never.next_opening(at),
        lambda: never.add_business_days(at, 1),
    ):
        with pytest.raises(NeverOpen):
            promise()
    assert not never.is_open(at)
    assert never.between(at, at + timedelta(days=9)) == timedelta(0)


def test_hours_closed_for_years_are_never_open():
    closed = [date(2026, 11, 23) + timedelta(days=day) for day in range(1_000)]
    with pytest.raises(NeverOpen):
        WeeklyHours(NINE_TO_FIVE, AMSTERDAM, closed).add(local("2026-11-23 10:00"), HOUR)


def test_time_is_not_added_backwards_nor_to_a_naive_clock():
    at = local("2026-11-23 10:00")
    for wrong in (
        lambda: OFFICE.add(at, -HOUR),
        lambda: OFFICE.add_business_days(at, 0),
        lambda: OFFICE.add(at.replace(tzinfo=None), HOUR),
        lambda: OFFICE.is_open(at.replace(tzinfo=None)),
        lambda: Span(7, time(9), time(17)),
        lambda: Span(0, time(17), time(9)),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            wrong()


def test_between_counts_backwards_with_a_minus():
    assert OFFICE.between(local("2026-11-24 10:00"), local("2026-11-23 16:00")) == -2 * HOUR


def random_hours(dice: random.Random) -> WeeklyHours:
    spans = []
    for _ in range(dice.randrange(1, 9)):
        opens, closes = sorted(dice.sample(range(24 * 12), 2))
        spans.append(Span(dice.randrange(7), time(opens // 12, opens % 12 * 5), time(closes // 12, closes % 12 * 5)))
    zones = ("Europe/Amsterdam", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "UTC", "Africa/Casablanca")
    return WeeklyHours(spans, ZoneInfo(dice.choice(zones)))


def test_what_was_added_lies_between():
    dice = random.Random(2015)
    for _ in range(600):
        hours = random_hours(dice)
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=dice.randrange(2 * 365 * 24 * 60))
        start = start.astimezone(hours.time_zone)
        amount = timedelta(minutes=dice.randrange(1, 60 * 24 * 3))
        end = hours.add(start, amount)
        assert hours.between(start, end) == amount
        assert (
            hours.between(start, end.astimezone(UTC) - timedelta(seconds=1)) < amount
        )  # and no earlier instant would do
        opening = hours.next_opening(start)
        assert hours.is_open(opening)
        assert hours.between(start, opening) == timedelta(0)
        assert hours.between(start, hours.add_business_days(start, 2)) > timedelta(0) or len(hours.spans) < 3
