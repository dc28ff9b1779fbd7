"""PostgreSQL's own tools, for copies of the database: which of them to use, and how to let them in."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
from django.db import connection
from psycopg.conninfo import make_conninfo

from .embedded import postgres_program

# The time limits of pages are not for copies, which read or write everything at once.
NO_LIMITS = "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"


class ToolMissing(Exception):
    """No such tool is new enough for the server; the message says what to install."""


def tool(name: str, server: int) -> Path:
    """The program called `name` for a server of this major version: the one on PATH where it is new enough, else ours.

    An older pg_dump refuses a newer server, and a newer pg_restore may use words that an older server does not know: so
    one that is as old as the server comes before any that is newer. Raises ToolMissing.
    """
    found = sorted((major, order, path) for order, (path, major) in enumerate(_candidates(name)) if major >= server)
    if not found:
        raise ToolMissing(f"{name} of PostgreSQL {server} or newer is needed; install postgresql-client-{server}.")
    return found[0][2]


def _candidates(name: str) -> list[tuple[Path, int]]:
    on_path = shutil.which(name)
    programs = [Path(on_path)] if on_path else []
    return [(program, _major(program)) for program in [*programs, postgres_program(name)] if program.exists()]


def _major(program: Path) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    version = re.search(r"\d+", said)
    return int(version[0]) if version else 0


def conninfo() -> str:
    """How the database of the settings is reached, without the password and without the time limits of pages."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()} - {"password", "options"}
    asked = connection.get_connection_params()
    return make_conninfo("", **{name: value for name, value in asked.items() if name in known})


def environment() -> dict[str, str]:
    """The variables of a tool. The password goes here: the words of a command can be read by anybody on the machine."""
    password = connection.settings_dict["PASSWORD"]
    return os.environ | ({"PGPASSWORD": password} if password else {})


def connect() -> psycopg.Connection:
    """A connection of its own, without time limits, in which everything is written as text in one and the same way."""
    made = psycopg.connect(conninfo(), password=connection.settings_dict["PASSWORD"] or None, autocommit=True)
    for name in NO_LIMITS:
        made.execute(f"SET {name} = 0")
    made.execute("SET TIME ZONE 'UTC'")
    made.execute("SET DateStyle = 'ISO, YMD'")
    made.execute("SET search_path = pg_catalog")  # names are given in full
    return made
