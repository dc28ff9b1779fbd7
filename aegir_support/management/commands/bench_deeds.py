"""What the record of deeds costs: the same writes with its triggers and without, by turns, in one run."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from aegir_support import deeds
from members.models import Calendar

ROUNDS = 300
BULK = 1000


class Command(BaseCommand):
    help = "Measure what the record of deeds costs a write. Changes nothing: everything is rolled back."

    def handle(self, *args: Any, **options: Any) -> None:
        with deeds.by(None, what="bench_deeds"), transaction.atomic(), connection.cursor() as cursor:
            calendar = Calendar.objects.create(name="bench", time_zone="UTC")
            zones = ["UTC", "Europe/Amsterdam"]

            def change(turn: int) -> None:
                Calendar.objects.filter(pk=calendar.pk).update(time_zone=zones[turn % 2])

            def add(turn: int) -> None:
                Calendar.objects.create(name=f"bench {turn}", time_zone="UTC")

            def add_many(turn: int) -> None:
                Calendar.objects.bulk_create([Calendar(name=f"bench {turn} {row}") for row in range(BULK)])

            def change_many(turn: int) -> None:
                Calendar.objects.filter(name__startswith="bench").update(time_zone=zones[turn % 2])

            self._compare(cursor, "change one row", change, ROUNDS)
            self._compare(cursor, "add one row", add, ROUNDS)
            self._compare(cursor, f"add {BULK} rows", add_many, 4, rows=BULK)
            there = Calendar.objects.filter(name__startswith="bench").count()
            self._compare(cursor, f"change {there} rows", change_many, 4, rows=there)
            transaction.set_rollback(True)

    def _compare(self, cursor: Any, name: str, write: Callable[[int], None], rounds: int, *, rows: int = 1) -> None:
        """By turns, a tenth of the rounds at a time, so that what else the machine does falls on both."""
        took: dict[str, list[float]] = {"ENABLE": [], "DISABLE": []}
        turn = 0
        for _part in range(min(10, rounds)):
            for able, times in took.items():
                for event in ["insert", "update"]:
                    cursor.execute(f"ALTER TABLE members_calendar {able} TRIGGER deed_of_{event}")
                for _time in range(max(rounds // 10, 1)):
                    turn += 1
                    started = time.perf_counter()
                    write(turn)
                    times.append((time.perf_counter() - started) / rows * 1e6)
        on, off = (statistics.median(took[able]) for able in ["ENABLE", "DISABLE"])
        self.stdout.write(
            f"{name:>20}: {on:7.0f} µs a row with, {off:7.0f} µs without: {on - off:+.0f} µs, × {on / off:.2f}"
        )
