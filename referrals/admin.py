from django.contrib import admin

from members.asking import FreshLogInAdmin

from .models import Partner, PartnerContact


class PartnerContactInline(admin.TabularInline[PartnerContact, Partner]):
    model = PartnerContact
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Partner)
class PartnerAdmin(FreshLogInAdmin[Partner]):
    list_display = ["name", "country"]
    inlines = [PartnerContactInline]
