"""Holds the data against `invariants.sql`: what must be true of it at every moment."""

import re
from pathlib import Path

from django.db import connection

SENTENCES = Path(__file__).resolve().parent / "invariants.sql"


def invariants() -> dict[str, str]:
    """The queries by the sentence that stands above each."""
    parts = re.split(r"(?m)^-- (?=[^\n]*\.\n(?!--))", SENTENCES.read_text(encoding="utf-8"))[1:]
    return {sentence: query for sentence, query in (part.split("\n", 1) for part in parts) if query.strip()}


def broken() -> list[str]:
    """Every sentence that is not true now, with the row that shows it; empty where all is well."""
    found = []
    with connection.cursor() as cursor:
        for sentence, query in invariants().items():
            cursor.execute(query)
            names = [column.name for column in cursor.description or ()]
            found += [f"{sentence} {dict(zip(names, row, strict=True))}" for row in cursor.fetchall()]
    return found
