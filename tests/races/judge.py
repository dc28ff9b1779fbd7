"""Holds the data against `tests/invariants.sql`."""

import re
from pathlib import Path

from django.db import connection

INVARIANTS = Path(__file__).resolve().parent.parent / "invariants.sql"


def invariants():
    """The queries by the sentence that stands above each."""
    parts = re.split(r"(?m)^-- (?=[^\n]*\.\n(?!--))", INVARIANTS.read_text())[1:]
    return {sentence: query for sentence, query in (part.split("\n", 1) for part in parts) if query.strip()}


def broken():
    """Every sentence that is not true now, with the rows that show it; empty where all is well."""
    found = []
    with connection.cursor() as cursor:
        for sentence, query in invariants().items():
            cursor.execute(query)
            names = [column.name for column in cursor.description]
            found += [f"{sentence} {dict(zip(names, row, strict=True))}" for row in cursor.fetchall()]
    return found
