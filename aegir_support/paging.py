"""Pages of a list that cost the same however far one goes: by the last row's key, not by counting (keyset paging)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q, QuerySet

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows of a list, and the queries that show the next older ones and the newest; empty where there are none."""

    rows: list[Row]
    older: str = ""
    newest: str = ""

    @classmethod
    def of(cls, rows: QuerySet[Row], query: Mapping[str, str], *, by: Sequence[str], size: int) -> Page[Row]:
        """The page of a list, largest `by` first, that begins behind the row named in the query's `before`.

        The columns of `by` are never empty and together unique. A query that means nothing begins at the top.
        """
        rows = rows.order_by(*[f"-{name}" for name in by])
        if before := _values(rows.model, by, query.get("before", "")):
            rows = rows.filter(_behind(dict(zip(by, before, strict=True))))
        found = list(rows[: size + 1])
        kept = {name: value for name, value in query.items() if name != "before" and value}
        older = "?" + urlencode({**kept, "before": _name(found[size - 1], by)}) if len(found) > size else ""
        return cls(found[:size], older, "?" + urlencode(kept) if before else "")


def _behind(key: dict[str, Any]) -> Q:
    """`(a, b) < (1, 2)`, as Django can say it."""
    behind, same = Q(), Q()
    for name, value in key.items():
        behind |= same & Q(**{f"{name}__lt": value})
        same &= Q(**{name: value})
    return behind


def _name(row: Model, by: Sequence[str]) -> str:
    values = [getattr(row, name) for name in by]
    return "~".join(value.isoformat() if isinstance(value, datetime) else str(value) for value in values)


def _values(model: type[Model], by: Sequence[str], named: str) -> list[Any]:
    parts = named.split("~")
    if len(parts) != len(by):
        return []
    try:
        columns = [cast("Field[Any, Any]", model._meta.get_field(name)) for name in by]
        values = [column.to_python(part) for column, part in zip(columns, parts, strict=True)]
    except (ValidationError, ValueError, OverflowError):
        return []
    return [] if any(_says_nothing(value) for value in values) else values


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, datetime) and value.tzinfo is None)
