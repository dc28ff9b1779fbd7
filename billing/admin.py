from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

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
    Subscription,
    Tier,
)


class TierForm(forms.ModelForm[Tier]):
    channels = forms.MultipleChoiceField(choices=Channel, widget=forms.CheckboxSelectMultiple)


class PromiseInline(admin.TabularInline[Promise, Tier]):
    model = Promise
    extra = 0


class TierPriceInline(admin.TabularInline[Price, Tier]):
    model = Price
    exclude = ["pack"]
    extra = 0


@admin.register(Tier)
class TierAdmin(admin.ModelAdmin[Tier]):
    list_display = ["name", "version", "price_basis", "tickets_per_cpu", "on_sale"]
    list_filter = ["on_sale"]
    form = TierForm
    inlines = [PromiseInline, TierPriceInline]


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
class ClientAdmin(admin.ModelAdmin[Client]):
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
