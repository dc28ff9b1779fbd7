from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from members.asking import FreshLogInAdmin

from . import actions
from .models import (
    Channel,
    Charge,
    Client,
    Contact,
    Grant,
    Installation,
    Pack,
    Price,
    Promise,
    Server,
    Severity,
    Subscription,
    Tier,
)


class TierForm(forms.ModelForm[Tier]):
    channels = forms.MultipleChoiceField(choices=Channel, widget=forms.CheckboxSelectMultiple)


class PromiseFormSet(forms.BaseInlineFormSet[Promise, Tier, forms.ModelForm[Promise]]):
    """One promise for each severity; those still missing are asked for by name."""

    default_error_messages = {"too_few_forms": _("Promise a first response for each of the four severities.")}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        there = {promise.severity for promise in self.get_queryset()}
        self.initial_extra = [{"severity": each} for each in Severity.values if each not in there]


class PartOfATier:
    """What a version in use has is read; a change makes a new version (Tiers 2)."""

    def has_add_permission(self, request: HttpRequest, obj: Tier | None = None) -> bool:
        return not _is_in_use(obj) and super().has_add_permission(request, obj)  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Tier | None = None) -> bool:
        return not _is_in_use(obj) and super().has_change_permission(request, obj)  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Tier | None = None) -> bool:
        return not _is_in_use(obj) and super().has_delete_permission(request, obj)  # type: ignore[misc]


class PromiseInline(PartOfATier, admin.TabularInline[Promise, Tier]):
    model = Promise
    formset = PromiseFormSet
    extra = 0
    min_num = max_num = len(Severity)

    def get_formset(self, request: HttpRequest, obj: Tier | None = None, **options: Any) -> Any:
        may_change = self.has_change_permission(request, obj)
        return super().get_formset(request, obj, validate_min=may_change, validate_max=may_change, **options)


class TierPriceInline(PartOfATier, admin.TabularInline[Price, Tier]):
    model = Price
    exclude = ["pack"]
    extra = 0


@admin.register(Tier)
class TierAdmin(admin.ModelAdmin[Tier]):
    """Versions of what is sold. Once a client has one, only how it is shown and whether it is sold may change."""

    list_display = ["name", "version", "price_basis", "tickets_per_cpu", "on_sale"]
    list_filter = ["on_sale"]
    form = TierForm
    inlines = [PromiseInline, TierPriceInline]
    actions = ["make_new_version"]

    def get_readonly_fields(self, request: HttpRequest, obj: Tier | None = None) -> list[str]:
        return [name for name in _TIER_FIELDS if name not in _ALWAYS_EDITABLE] if _is_in_use(obj) else []

    @admin.action(description=_("Make a new version"), permissions=["add"])
    def make_new_version(self, request: HttpRequest, tiers: QuerySet[Tier]) -> None:
        for tier in tiers:
            new = actions.new_version(tier)
            facts = {"version": new.version, "tier": new.name}
            self.message_user(
                request, _("Version %(version)d of %(tier)s is made, as the one before: now change it.") % facts
            )


_TIER_FIELDS = [field.name for field in Tier._meta.fields if field.editable and not field.primary_key]
_ALWAYS_EDITABLE = {"summary", "position", "on_sale"}


def _is_in_use(tier: Tier | None) -> bool:
    return tier is not None and tier.subscriptions.exists()


class PackPriceInline(admin.TabularInline[Price, Pack]):
    model = Price
    exclude = ["tier"]
    extra = 0


@admin.register(Pack)
class PackAdmin(admin.ModelAdmin[Pack]):
    list_display = ["code", "version", "tickets", "valid_months", "on_sale"]
    inlines = [PackPriceInline]


class ContactInline(admin.TabularInline[Contact, Client]):
    model = Contact
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Client)
class ClientAdmin(FreshLogInAdmin[Client]):
    list_display = ["name", "country", "currency", "calendar"]
    search_fields = ["name"]
    inlines = [ContactInline]


class ServerInline(admin.TabularInline[Server, Installation]):
    model = Server
    extra = 0


@admin.register(Installation)
class InstallationAdmin(admin.ModelAdmin[Installation]):
    list_display = ["name", "client", "aegir_version", "operating_system"]
    autocomplete_fields = ["client"]
    inlines = [ServerInline]


@admin.register(Subscription)
class SubscriptionAdmin(admin.ModelAdmin[Subscription]):
    """Terms that staff enter; each brings the grant of its tickets. A term is a snapshot: it is added, not edited."""

    list_display = ["client", "tier", "cpus", "starts_on", "ends_on"]
    autocomplete_fields = ["client"]
    date_hierarchy = "starts_on"

    def save_model(
        self, request: HttpRequest, obj: Subscription, form: forms.ModelForm[Subscription], change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        actions.grant_term(obj)

    def has_change_permission(self, request: HttpRequest, obj: Subscription | None = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Subscription | None = None) -> bool:
        return False


class GrantForm(forms.ModelForm[Grant]):
    kind = forms.ChoiceField(choices=[choice for choice in Grant.Kind.choices if choice[0] != Grant.Kind.TERM])

    def clean(self) -> dict[str, Any]:
        facts = super().clean() or self.cleaned_data
        if facts.get("kind") == Grant.Kind.STAFF and not facts.get("reason"):
            self.add_error("reason", _("A grant by staff names who gave it and why."))
        return facts


@admin.register(Grant)
class GrantAdmin(admin.ModelAdmin[Grant]):
    """Grants by name and with a reason; those of a term come with the term."""

    form = GrantForm
    list_display = ["client", "kind", "tickets", "used", "starts_on", "ends_on", "given_by"]
    list_filter = ["kind"]
    autocomplete_fields = ["client"]
    fields = ["client", "kind", "tickets", "starts_on", "ends_on", "reason"]

    def save_model(self, request: HttpRequest, obj: Grant, form: forms.ModelForm[Grant], change: bool) -> None:
        obj.given_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: Grant | None = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Grant | None = None) -> bool:
        return False


@admin.register(Charge)
class ChargeAdmin(admin.ModelAdmin[Charge]):
    """What was used, to look at: a charge is decided on its ticket."""

    list_display = ["key", "grant", "state", "reason", "held_at", "decided_at"]
    list_filter = ["state"]
    search_fields = ["key"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return False
