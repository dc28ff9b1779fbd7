from django.contrib import admin
from django.http import HttpRequest

from .models import OfferWindow


@admin.register(OfferWindow)
class OfferWindowAdmin(admin.ModelAdmin[OfferWindow]):
    """How long a member may think about an offer, one window a severity: they are edited, never added or taken away.

    Tickets are not in the admin: their words are not the admin's.
    """

    list_display = ["severity", "minutes"]
    list_editable = ["minutes"]
    readonly_fields = ["severity"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: OfferWindow | None = None) -> bool:
        return False
