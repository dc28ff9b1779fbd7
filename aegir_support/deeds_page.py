"""The record of deeds as a page: searched by the coordinator and the admin, told in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.models import Authenticator
from django import forms
from django.apps import apps
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Field, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import formats, timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from billing.models import Charge, Client
from members.access import signed_in
from members.models import Member, Representative, User
from tickets.models import Attachment, Ticket

from .deeds import FAILURES, recorded_tables
from .deeds_words import what_in_words
from .models import Deed

SIZE = 50
# A name that fits more people than this finds none of them, rather than some.
MOST_PEOPLE = 200
# What those who read the page know by name. The rest is on record as well, and a link leads to it.
OFFERED = [
    "tickets_ticket",
    "tickets_offer",
    "tickets_message",
    "tickets_attachment",
    "aegir_support_storedfile",
    "billing_client",
    "billing_contact",
    "billing_invitation",
    "billing_subscription",
    "billing_grant",
    "billing_charge",
    "billing_server",
    "members_user",
    "members_member",
    "members_representative",
    "members_duty",
    "mfa_authenticator",
    "referrals_partner",
]
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
# So many keys may be given out while one statement still writes under the time at which it began.
OUT_OF_ORDER = 10_000


def may_read(user: User) -> bool:
    return user.is_coordinator or user.is_superuser


@require_safe
def deeds(request: HttpRequest) -> HttpResponse:
    """What was done and tried, newest first, fifty at a time."""
    if not may_read(signed_in(request)):
        raise PermissionDenied
    search = Search(request.GET)
    page = Page.of(search.found(), request.GET) if search.is_valid() else Page([], "", "")
    facts = {"page": page, "search": search, "is_filtered": any(search.data.get(name) for name in search.fields)}
    return render(request, "deeds/deeds.html", facts, status=200 if search.is_valid() else 422)


def _things(asked: str) -> list[tuple[str, str]]:
    """What the list offers, and what a link asked for."""
    models = _models()
    tables = set(OFFERED) | ({asked} & models.keys() & set(recorded_tables()))
    return sorted(((table, _thing_in_words(models[table])) for table in tables), key=lambda each: each[1])


def _models() -> dict[str, type[Model]]:
    return {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}


def _thing_in_words(model: type[Model]) -> str:
    return _("Second factor") if model is Authenticator else capfirst(str(model._meta.verbose_name))


def _kind_in_words(kind: str) -> str:
    # To whoever may see everything nothing is another's: there was nothing.
    in_vain = _("asked for what is not there, or not theirs")
    return in_vain if kind == Deed.Kind.NOT_THEIRS else str(dict(Deed.Kind.choices).get(kind, kind))


class Search(forms.Form):
    """Which deeds to show. Everything left empty shows all."""

    person = forms.CharField(
        label=gettext_lazy("Who"), required=False, max_length=200, help_text=gettext_lazy("Part of a name or address.")
    )
    kind = forms.ChoiceField(label=gettext_lazy("Did what"), required=False)
    thing = forms.ChoiceField(label=gettext_lazy("With what"), required=False)
    key = forms.CharField(
        label=gettext_lazy("Its number"),
        required=False,
        max_length=64,
        help_text=gettext_lazy("Such as 1043. Alone it means the ticket."),
    )
    since = forms.DateField(
        label=gettext_lazy("From day"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=gettext_lazy("To day"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    place = forms.GenericIPAddressField(label=gettext_lazy("From address"), required=False)
    request = forms.CharField(
        label=gettext_lazy("Request"),
        required=False,
        max_length=64,
        help_text=gettext_lazy("The code an error page or the log shows."),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        anything = [("", _("Anything"))]
        kinds = [(value, capfirst(_kind_in_words(value))) for value in Deed.Kind.values]
        self.fields["kind"].choices = anything + kinds  # type: ignore[attr-defined]
        self.fields["thing"].choices = anything + _things(self.data.get("thing", ""))  # type: ignore[attr-defined]

    def clean_key(self) -> str:
        return str(self.cleaned_data["key"]).strip().removeprefix("#")

    def clean(self) -> dict[str, Any]:
        facts = self.cleaned_data
        if facts.get("since") and facts.get("until") and facts["until"] < facts["since"]:
            raise ValidationError({"until": _("The last day is before the first.")})
        if facts.get("key") and not facts.get("thing") and "thing" not in self.errors:
            facts["thing"] = Ticket._meta.db_table
        return facts

    def found(self) -> QuerySet[Deed]:
        asked = self.cleaned_data
        deeds = Deed.objects.all()
        if asked["person"]:
            deeds = deeds.filter(_by_or_about(asked["person"]))
        if asked["thing"]:
            deeds = deeds.filter(_about(asked["thing"], asked["key"]))
        if asked["since"]:
            deeds = _since(deeds, _midnight(asked["since"]))
        if asked["until"]:
            deeds = _until(deeds, _midnight(asked["until"] + timedelta(days=1)))
        others = {"kind": asked["kind"], "from_where": asked["place"], "request_id": asked["request"]}
        return deeds.filter(**{name: value for name, value in others.items() if value})


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _since(deeds: QuerySet[Deed], at: datetime) -> QuerySet[Deed]:
    first = Deed.objects.filter(at__gte=at).order_by("at", "pk").values_list("pk", flat=True).first()
    # The list goes by key, so a bound of the key saves reading everything newer; the time decides.
    return deeds.none() if first is None else deeds.filter(at__gte=at, pk__gte=first - OUT_OF_ORDER)


def _until(deeds: QuerySet[Deed], at: datetime) -> QuerySet[Deed]:
    last = Deed.objects.filter(at__lt=at).order_by("-at", "-pk").values_list("pk", flat=True).first()
    return deeds.none() if last is None else deeds.filter(at__lt=at, pk__lte=last + OUT_OF_ORDER)


def _by_or_about(words: str) -> Q:
    """What these people did, and what was tried at their account."""
    people = User.objects.filter(Q(name__icontains=words) | Q(email__icontains=words)).values_list("pk", flat=True)
    keys = list(people[: MOST_PEOPLE + 1])
    if len(keys) > MOST_PEOPLE:
        keys = []
    at_their_account = Q(about=User._meta.db_table, about_pk__in=[str(key) for key in keys])
    return Q(who__in=keys) | at_their_account & ~Q(kind=Deed.Kind.CHANGED)


def _about(table: str, key: str) -> Q:
    """One sort of thing, or one thing. A ticket comes with its offers, messages, files, events and its charge."""
    if not key:
        return Q(about=table)
    wanted = Q(about=table, about_pk=key)
    if table == Ticket._meta.db_table and key.isascii() and key.isdecimal() and len(key) < 19:
        for part, path in _parts_of_tickets():
            parts = part._default_manager.filter(**{path: int(key)}).values_list("pk", flat=True)
            wanted |= Q(about=part._meta.db_table, about_pk__in=[str(pk) for pk in parts])
        charges = Charge.objects.filter(key=Ticket(pk=int(key)).charge_key).values_list("pk", flat=True)
        wanted |= Q(about=Charge._meta.db_table, about_pk__in=[str(pk) for pk in charges])
    return wanted


def _parts_of_tickets() -> list[tuple[type[Model], str]]:
    """What belongs to a ticket, and the path from there to it."""
    direct: Any = [(relation.related_model, relation.field.name) for relation in Ticket._meta.related_objects]
    return [*direct, (Attachment, "message__ticket")]


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


@dataclass(frozen=True)
class Page:
    """Up to fifty deeds in groups, and the query that shows the next older ones (keyset paging)."""

    groups: list[Group]
    older: str
    newest: str

    @classmethod
    def of(cls, deeds: QuerySet[Deed], query: Mapping[str, str]) -> Page:
        before = query.get("before", "")
        before = before if before.isascii() and before.isdecimal() and len(before) < 19 else ""
        if before:
            deeds = deeds.filter(pk__lt=int(before))
        rows = list(deeds[: SIZE + 1])
        kept = {name: value for name, value in query.items() if name != "before" and value}
        older = "?" + urlencode({**kept, "before": rows[SIZE - 1].pk}) if len(rows) > SIZE else ""
        return cls(_groups(rows[:SIZE]), older, "?" + urlencode(kept) if before else "")


def _groups(rows: list[Deed]) -> list[Group]:
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
        self.models = _models()
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
            return Told(deed, _kind_in_words(deed.kind), *self._asked_for(deed))
        thing = self._thing(deed)
        query = urlencode({"thing": deed.about, "key": deed.about_pk}) if thing and deed.about_pk else ""
        used = deed.about == Authenticator._meta.db_table and "last_used_at" in (deed.changes or {})
        verb = _("used") if used and deed.kind == Deed.Kind.CHANGED else _kind_in_words(deed.kind)
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
        for part, path in _parts_of_tickets():
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
