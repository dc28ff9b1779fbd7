"""Deeds told in sentences: who did what with what, grouped by request, keys put into names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.models import Authenticator
from django.db.models import Field, Model
from django.urls import NoReverseMatch, reverse
from django.utils import formats, timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from billing.models import Client
from members.models import Member, Representative, User
from tickets.models import Ticket

from .deeds import FAILURES
from .deeds_search import models_by_table, parts_of_tickets
from .deeds_words import kind_in_words, what_in_words
from .models import Deed

# Columns that only the program reads.
TECHNICAL = {
    "id",
    "number",
    "key",
    "html",
    "data",
    "extra_data",
    "sha256",
    "type",
    "session_epoch",
    "filing_key",
    "news_at",
    "last_used_at",
    "position",
    "is_kept",
    "seen_at",
    "wanted_at",
    "asked_at",
}


@dataclass(frozen=True)
class Change:
    """A column's old and new value in words; `hidden` where the record does not hold them."""

    name: str
    before: str = ""
    after: str = ""
    hidden: bool = False
    is_choice: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.hidden and {self.before, self.after} <= {"", "–"}


@dataclass(frozen=True)
class Told:
    """A deed in words."""

    deed: Deed
    verb: str
    thing: str
    query: str
    changes: list[Change]
    asked: str = ""

    @property
    def gist(self) -> Change | None:
        """The change that says what it was about: the first choice that became another."""
        return next((change for change in self.changes if change.is_choice), None)


@dataclass(frozen=True)
class Group:
    """What one person did in one request, or a job in one run, as far as it is on this page."""

    first: Deed
    who: str
    what: str
    deeds: list[Told]
    times: int = 1

    @property
    def is_in_vain(self) -> bool:
        return all(told.deed.kind in FAILURES for told in self.deeds)

    def goes_on(self, other: Group) -> bool:
        """The other tried in vain as well: same person, same place."""
        same = (self.first.who, self.first.from_where) == (other.first.who, other.first.from_where)
        return same and self.is_in_vain and other.is_in_vain


def in_groups(rows: list[Deed]) -> list[Group]:
    """What belongs together, in the order of the rows: one request, or attempts in vain one after the other."""
    words = Words(rows)
    groups: list[Group] = []
    for _key, some in groupby(rows, key=lambda deed: (deed.request_id or deed.pk, deed.who, deed.what)):
        together = list(some)
        first = together[0]
        failed = any(each.kind in FAILURES for each in together)
        what = _("tried in vain") if failed else what_in_words(first.what)
        group = Group(first, words.who(first), what, [words.tell(each) for each in together])
        if groups and groups[-1].goes_on(group):
            last = groups.pop()
            group = replace(last, deeds=last.deeds + group.deeds, times=last.times + 1)
        groups.append(group)
    return groups


class Words:
    """Names for the keys of some deeds, fetched together: at most one query for each sort of thing."""

    def __init__(self, deeds: list[Deed]) -> None:
        self.models = models_by_table()
        self.columns = {
            table: {each.column: each for each in model._meta.concrete_fields} for table, model in self.models.items()
        }
        self.names = self._names(deeds)
        self.tickets = self._tickets(deeds)

    def who(self, deed: Deed) -> str:
        if deed.who is not None:
            return self._name(User, deed.who)
        return _("Somebody not logged in") if deed.from_where else _("The system")

    def tell(self, deed: Deed) -> Told:
        if deed.kind in {Deed.Kind.NOT_THEIRS, Deed.Kind.REFUSED}:
            return Told(deed, kind_in_words(deed.kind), *self._asked_for(deed))
        thing = self._thing(deed)
        query = urlencode({"thing": deed.about, "key": deed.about_pk}) if thing and deed.about_pk else ""
        used = deed.about == Authenticator._meta.db_table and "last_used_at" in (deed.changes or {})
        verb = _("used") if used and deed.kind == Deed.Kind.CHANGED else kind_in_words(deed.kind)
        return Told(deed, verb, thing, query, self._changes(deed))

    def _asked_for(self, deed: Deed) -> tuple[str, str, list[Change], str]:
        """The thing, its own deeds, no changes, and the address as far as the record holds it."""
        named = {name: value for name, value in (deed.changes or {}).items() if name != "method"}
        try:
            address = reverse(deed.what, kwargs=named)
        except NoReverseMatch:
            address = what_in_words(deed.what)
        asked = f"{(deed.changes or {}).get('method', '')} {address}".strip()
        if "number" not in named:
            return "", "", [], asked
        query = urlencode({"thing": Ticket._meta.db_table, "key": named["number"]})
        return _("ticket %(number)s") % {"number": named["number"]}, query, [], asked

    def _thing(self, deed: Deed) -> str:
        model = self.models.get(deed.about)
        name = str(model._meta.verbose_name) if model else deed.about
        if not deed.about_pk:
            return name
        if model is Authenticator:
            return self._second_factor(deed)
        if model in _NAMED:
            return f"{name} {self._name(model, int(deed.about_pk))}"
        ticket = self.tickets.get((deed.about, deed.about_pk))
        of = _(" of ticket #%(number)s") % {"number": ticket} if ticket else ""
        return f"{name} #{deed.about_pk}{of}"

    def _second_factor(self, deed: Deed) -> str:
        said = next((value for value in (deed.changes or {}).get("type") or [] if value), None)
        kinds = {"totp": _("authenticator app"), "recovery_codes": _("recovery codes"), "webauthn": _("passkey")}
        return kinds.get(said or self.names[Authenticator].get(int(deed.about_pk), ""), _("second factor"))

    def _changes(self, deed: Deed) -> list[Change]:
        columns = self.columns.get(deed.about, {})
        values = {name: value for name, value in (deed.changes or {}).items() if name not in TECHNICAL}
        changes = [self._change(columns.get(name), name, value) for name, value in values.items()]
        return [change for change in changes if not change.is_empty]

    def _change(self, column: Field[Any, Any] | None, name: str, values: Any) -> Change:
        label = capfirst(str(column.verbose_name)) if column else capfirst(name.replace("_", " "))
        if values is None:
            return Change(label, hidden=True)
        if not isinstance(values, list):
            return Change(label, after=str(values))
        before, after = (self._value(column, value) for value in values)
        is_choice = column is not None and bool(column.choices) and None not in values
        return Change(label, before, after, is_choice=is_choice)

    def _value(self, column: Field[Any, Any] | None, value: Any) -> str:
        if value is None or value == "":
            return "–"
        if isinstance(value, bool):
            return _("yes") if value else _("no")
        if isinstance(value, list):
            return ", ".join(str(each) for each in value)
        if column is None:
            return str(value)
        return self._of_column(column, value)

    def _of_column(self, column: Field[Any, Any], value: Any) -> str:
        if column.choices:
            return str(dict(column.flatchoices).get(value, value))
        if column.related_model in _NAMED:
            return self._name(column.related_model, value)
        if column.related_model:
            return f"#{value}"
        if column.get_internal_type() == "DateTimeField" and (at := parse_datetime(str(value))):
            return formats.date_format(timezone.localtime(at), "j F Y, H:i:s")
        return str(value)

    def _name(self, model: type[Model], pk: int) -> str:
        name = self.names.get(model, {}).get(pk)
        return str(name) if name else f"{model._meta.verbose_name} #{pk}"

    def _names(self, deeds: list[Deed]) -> dict[type[Model], dict[int, str]]:
        asked: dict[type[Model], set[int]] = {model: set() for model in [*_NAMED, Authenticator]}
        for deed in deeds:
            asked[User].update([deed.who] if deed.who else [])
            model = self.models.get(deed.about)
            if model in asked and deed.about_pk.isdecimal():
                asked[model].add(int(deed.about_pk))
            for name, values in (deed.changes or {}).items():
                column = self.columns.get(deed.about, {}).get(name)
                if column is not None and column.related_model in asked and isinstance(values, list):
                    asked[column.related_model].update(value for value in values if value is not None)
        return {model: _fetch(model, keys) for model, keys in asked.items()}

    def _tickets(self, deeds: Iterable[Deed]) -> dict[tuple[str, str], int]:
        found = {}
        for part, path in parts_of_tickets():
            table = part._meta.db_table
            keys = [deed.about_pk for deed in deeds if deed.about == table and deed.about_pk]
            if keys:
                parts = part._default_manager.filter(pk__in=keys)
                for pk, number in parts.values_list("pk", path):
                    found[table, str(pk)] = number
        return found


# Whoever and whatever has a name that people know it by; everything else is known by its number.
_NAMED: dict[type[Model], str] = {User: "name", Member: "name", Client: "name", Representative: "user__name"}


def _fetch(model: type[Model], keys: set[int]) -> dict[int, str]:
    rows = model._default_manager.filter(pk__in=keys).values_list("pk", _NAMED.get(model, "type")) if keys else []
    return dict(rows)
