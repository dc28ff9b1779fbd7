from django.contrib import admin

from .models import OfferWindow


@admin.register(OfferWindow)
class OfferWindowAdmin(admin.ModelAdmin[OfferWindow]):
    """How long a member may think about an offer. Tickets are not in the admin: their words are not the admin's."""

    list_display = ["severity", "minutes"]
    list_editable = ["minutes"]
