"""The record of deeds: who changed what, when, and from where.

PostgreSQL writes it. A table that is `Recorded` has triggers that add a row to `aegir_support_deed` for each row that
is added, changed or removed, whoever asks for it and by whatever road: an action, the admin, a bulk update, raw SQL.
What changes no row, such as a failed log-in, a refusal or an export, is recorded by `record`.

Who asks travels as a comment at the very end of each statement that writes (`told`): no round trip, nothing left behind
in a pooled connection, nothing to undo with a transaction. Words in a statement cannot forge it, because a literal ends
with a quotation mark and the comment is believed only where nothing follows it.

The record holds keys, numbers, dates and the choices a table names as harmless; of any other column it says that it
changed, not into what. So it can be kept when a person's data must go.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.migrations import RunSQL
from django.utils.functional import LazyObject, empty
from psycopg.sql import Composable

from . import logs

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.db.models import Model
    from django.http import HttpRequest

# What was tried and not allowed; the rest of what `record` is told has happened.
FAILURES = frozenset({"log_in_failed", "second_factor_failed", "refused", "not_theirs"})

_WRITES = re.compile(r"\s*(?:/\*.*?\*/\s*)*(?:INSERT|UPDATE|DELETE|MERGE|TRUNCATE|WITH)\b", re.IGNORECASE | re.DOTALL)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.: -]")


class Recorded(RunSQL):
    """A migration's operation: from now on every change of a row of this table is on record.

    `show` names the columns of text whose values may be recorded: choices and codes, never words, names, addresses or
    secrets. Columns of numbers, dates and truth are shown as they are; a column added later is hidden until the table
    is `Recorded` again.
    """

    def __init__(self, table: str, *, show: Sequence[str] = ()) -> None:
        self.table, self.show = table, tuple(show)
        super().__init__(
            [("SELECT deeds_watch(%s, %s)", [table, list(show)])],
            [("SELECT deeds_unwatch(%s)", [table])],
        )

    def describe(self) -> str:
        return f"Record the deeds on {self.table}"


@dataclass
class Doer:
    """Who is at work, as far as known: a person's key, their address, and what they are about."""

    who: Callable[[], int | None]
    what: Callable[[], str]
    from_where: str = ""
    request_id: Callable[[], str] = logs.request_id
    # Failures wait here until the transaction they failed in is over: it takes back what is written inside.
    failures: list[dict[str, Any]] | None = None

    def comment(self) -> str:
        """`/*deed:7|192.0.2.1|5f0c…|tickets:refuse_offer*/`: only letters, digits and `_.: -` between the bars."""
        parts = (str(self.who() or ""), self.from_where, self.request_id()[:64], self.what()[:100])
        return f"/*deed:{'|'.join(_NOT_PLAIN.sub('_', part) for part in parts)}*/"


_doer: ContextVar[Doer | None] = ContextVar("doer", default=None)


@contextmanager
def told(doer: Doer) -> Iterator[Doer]:
    """Let every statement of this thread that writes say who asks for it. The innermost counts."""
    token = _doer.set(doer)
    try:
        with _said():
            yield doer
    finally:
        _doer.reset(token)


def _said() -> AbstractContextManager[None]:
    try:
        installed = _say_who in connection.execute_wrappers
    except ImproperlyConfigured:  # `manage.py help` works without settings, and writes nothing
        installed = True
    return nullcontext() if installed else connection.execute_wrapper(_say_who)


def by(who: AbstractBaseUser | None, *, what: str) -> AbstractContextManager[Doer]:
    """Do something in somebody's name outside of a request: `with deeds.by(ana, what="story"): …`; None: the system."""
    pk, run = None if who is None else who.pk, uuid.uuid4().hex
    return told(Doer(who=lambda: pk, what=lambda: what, request_id=lambda: logs.request_id() or run))


def of_request(request: HttpRequest, *, from_where: str) -> Doer:
    """Who asks in this request, known as soon as something has asked for its user; `what` is the name of the view."""
    return Doer(
        who=lambda: _known_user(request),
        what=lambda: request.resolver_match.view_name if request.resolver_match else "",
        from_where=from_where,
        failures=[],
    )


def in_the_name_of(who: AbstractBaseUser) -> None:
    """From here on the deeds of this request are theirs: a link from their mail has shown who they are."""
    if doer := _doer.get():
        doer.who = lambda: who.pk


def record(kind: str, *, about: Model | None = None, **details: str | int) -> None:
    """Put on record what changed no row: a log-in, an export, a refusal. `about` is the thing or person concerned.

    No detail may hold a name, an address or a secret. A failure is written once its request is answered, so that it
    stays when the work it broke off is rolled back.
    """
    doer = _doer.get() or Doer(who=lambda: None, what=lambda: "")
    deed = {
        "kind": kind,
        "who": doer.who(),
        "from_where": doer.from_where or None,
        "request_id": doer.request_id()[:64],
        "what": doer.what()[:100],
        "about": about._meta.db_table if about is not None else "",
        "about_pk": str(about.pk) if about is not None else "",
        "changes": details or None,
    }
    if kind in FAILURES and doer.failures is not None:
        doer.failures.append(deed)
    else:
        _write([deed])


def recorded_tables() -> list[str]:
    """The tables whose changes are on record, as the database has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'deed_of_insert'")
        return [table for (table,) in cursor.fetchall()]


def write_failures(doer: Doer) -> None:
    """Write what failed in a request that is answered."""
    waiting, doer.failures = doer.failures, []
    if waiting:
        with transaction.atomic():
            _write(waiting)


def _write(rows: list[dict[str, Any]]) -> None:
    from .models import Deed  # noqa: PLC0415 - migrations and manage.py import this module before the apps are ready

    Deed.objects.bulk_create([Deed(**row) for row in rows])


def _known_user(request: HttpRequest) -> int | None:
    # Only a user the request has fetched already: a statement must not ask for another one in its midst.
    user: Any = request.__dict__.get("user")
    if isinstance(user, LazyObject) and user.__dict__["_wrapped"] is empty:
        user = request.__dict__.get("_cached_user")
    return getattr(user, "pk", None)


def _say_who(execute: Callable[..., Any], sql: Any, params: Any, many: Any, context: dict[str, Any]) -> Any:
    doer = _doer.get()
    if doer is not None:
        words = sql.as_string(context["connection"].connection) if isinstance(sql, Composable) else sql
        if _WRITES.match(words):
            sql = words + doer.comment()
    return execute(sql, params, many, context)
