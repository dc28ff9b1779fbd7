"""The search of the record of deeds: by person, thing, kind, day, place and request."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from django import forms
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.models import Charge
from members.models import User
from tickets.models import Attachment, Ticket

from .deeds import recorded_tables
from .deeds_words import kind_in_words
from .models import Deed

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
# So many keys may be given out while one statement still writes under the time at which it began.
OUT_OF_ORDER = 10_000


def models_by_table() -> dict[str, type[Model]]:
    """Every model by the name its deeds bear."""
    return {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}


def parts_of_tickets() -> list[tuple[type[Model], str]]:
    """What belongs to a ticket, and the path from there to it."""
    direct: Any = [(relation.related_model, relation.field.name) for relation in Ticket._meta.related_objects]
    return [*direct, (Attachment, "message__ticket")]


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
        kinds = [(value, capfirst(kind_in_words(value))) for value in Deed.Kind.values]
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
        for part, path in parts_of_tickets():
            parts = part._default_manager.filter(**{path: int(key)}).values_list("pk", flat=True)
            wanted |= Q(about=part._meta.db_table, about_pk__in=[str(pk) for pk in parts])
        charges = Charge.objects.filter(key=Ticket(pk=int(key)).charge_key).values_list("pk", flat=True)
        wanted |= Q(about=Charge._meta.db_table, about_pk__in=[str(pk) for pk in charges])
    return wanted


def _things(asked: str) -> list[tuple[str, str]]:
    """What the list offers, and what a link asked for."""
    models = models_by_table()
    tables = set(OFFERED) | ({asked} & models.keys() & set(recorded_tables()))
    return sorted(((table, _thing_in_words(models[table])) for table in tables), key=lambda each: each[1])


def _thing_in_words(model: type[Model]) -> str:
    return _("Second factor") if model is Authenticator else capfirst(str(model._meta.verbose_name))
