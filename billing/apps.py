from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from aegir_support import outbox  # noqa: PLC0415 (models are not loaded before)
        from members import home, navigation  # noqa: PLC0415

        from . import actions, panels  # noqa: PLC0415

        outbox.handlers["invitation"] = actions.carry_out
        navigation.add(_("Subscription"), "billing:subscription", shown_to=panels.is_contact, place=30)
        navigation.add(_("Servers"), "billing:servers", shown_to=panels.is_contact, place=40)
        navigation.add(_("People"), "billing:contacts", shown_to=panels.is_contact, place=50)
        navigation.add(_("Books"), "billing:books", shown_to=panels.keeps_books, place=60)
        navigation.name_side(panels.client_name)
        home.add("billing/_allowance_panel.html", panels.allowance, place=20, in_rail=True)
        home.add("billing/_books_panel.html", panels.books, place=30)
