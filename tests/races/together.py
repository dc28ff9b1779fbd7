"""Lets things happen at the same moment, widens the moment, and takes guards out to show what they are for."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from unittest import mock

from django.db import connection
from django.db.models import QuerySet


def at_once(*acts):
    """What each act returned, or the exception it raised, all begun together, each on its own connection."""
    gate = threading.Barrier(len(acts))

    def run(act):
        try:
            connection.ensure_connection()
            gate.wait(20)
            return act()
        except Exception as error:  # noqa: BLE001 (a loser's exception is a result)
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


@contextmanager
def pause_before(event, table, seconds=0.4):
    """Makes the database take its time before each `event` on the table: what was checked before may be over by then.

    `event` is as in CREATE TRIGGER: "INSERT", "UPDATE OF outcome".
    """
    _execute(
        "CREATE FUNCTION tests_pause() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(TG_ARGV[0]::float); RETURN NEW; END $$",
        f"CREATE TRIGGER tests_pause BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION tests_pause({seconds})",
    )
    try:
        yield
    finally:
        _execute(f"DROP TRIGGER tests_pause ON {table}", "DROP FUNCTION tests_pause")


# Guards, taken out


@contextmanager
def without_row_lock(*models):
    """Reads rows of these models without locking them."""
    lock = QuerySet.select_for_update

    def read(self, *args, **options):
        return self.all() if self.model in models else lock(self, *args, **options)

    with mock.patch.object(QuerySet, "select_for_update", read):
        yield


@contextmanager
def without_conditional_update(querysets):
    """Replaces the one filtered UPDATE by what people write first: read, look, write."""

    def read_then_write(self, **facts):
        found = list(self.values_list("pk", flat=True))
        return QuerySet.update(self.model.objects.filter(pk__in=found), **facts)

    with mock.patch.object(querysets, "update", read_then_write, create=True):
        yield


@contextmanager
def without_constraint(table, name):
    """Drops a constraint or unique index; afterwards the table is emptied, since its rows may now break it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s",
            [table, name],
        )
        constraint = cursor.fetchone()
        cursor.execute("SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
        index = cursor.fetchone()
    if constraint:
        drop, make = (
            f"ALTER TABLE {table} DROP CONSTRAINT {name}",
            f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint[0]}",
        )
    else:
        drop, make = f"DROP INDEX {name}", index[0]
    _execute(drop)
    try:
        yield
    finally:
        _execute(f"TRUNCATE {table} CASCADE", make)


@contextmanager
def without_trigger(table, name):
    _execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    try:
        yield
    finally:
        _execute(f"ALTER TABLE {table} ENABLE TRIGGER {name}")


def _execute(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
