"""Read the catalogue the cooperative publishes: `data/tiers.csv`, `packs.csv` and `prices.csv` (B49)."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from django.db import transaction

from .models import Pack, Price, Promise, Severity, Tier

_PROMISE = re.compile(r"(\d+)(bd|bh|h)")


class CatalogueError(Exception):
    """A cell of the catalogue that means nothing; the message names it."""


@transaction.atomic
def load(folder: Path) -> None:
    """Load what is not there yet. What exists is left alone: a change of the catalogue makes a new version (B19)."""
    prices = _rows(folder / "prices.csv")
    for position, row in enumerate(_rows(folder / "tiers.csv")):
        if not Tier.objects.filter(code=row["code"]).exists():
            _add_tier(row, position, _prices_of(row["code"], prices))
    for row in _rows(folder / "packs.csv"):
        if not Pack.objects.filter(code=row["code"]).exists():
            pack = Pack.objects.create(
                code=row["code"], tickets=int(row["tickets"]), valid_months=int(row["valid_months"])
            )
            Price.objects.bulk_create(Price(pack=pack, **price) for price in _prices_of(row["code"], prices))


def _add_tier(row: dict[str, str], position: int, prices: list[dict[str, object]]) -> None:
    tier = Tier.objects.create(
        code=row["code"],
        name=row["name"],
        summary=row["summary"],
        price_basis=row["price_basis"],
        tickets_per_cpu=None if row["tickets_per_cpu"] == "unlimited" else int(row["tickets_per_cpu"]),
        channels=row["channels"].split("|"),
        contacts=int(row["contacts"]),
        round_the_clock_emergency=row["emergency_hours"] == "24x7",
        position=position,
    )
    Promise.objects.bulk_create(
        Promise(tier=tier, severity=severity, **_promise(row[f"s{severity}_first_response"]))
        for severity in Severity.values
    )
    Price.objects.bulk_create(Price(tier=tier, **price) for price in prices)


def _promise(cell: str) -> dict[str, object]:
    match = _PROMISE.fullmatch(cell)
    if not match:
        raise CatalogueError(f"{cell!r} is no response time; write 1bd, 4bh or 2h.")
    return {"amount": int(match[1]), "unit": match[2]}


def _prices_of(item: str, prices: list[dict[str, str]]) -> list[dict[str, object]]:
    return [
        {"currency": row["currency"], "amount_cents": int(row["price_cents"])} for row in prices if row["item"] == item
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
