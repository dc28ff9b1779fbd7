from django.contrib import admin

from .models import Partner, PartnerContact


class PartnerContactInline(admin.TabularInline[PartnerContact, Partner]):
    model = PartnerContact
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Partner)
class PartnerAdmin(admin.ModelAdmin[Partner]):
    list_display = ["name", "country"]
    inlines = [PartnerContactInline]
