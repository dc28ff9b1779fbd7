from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReferralsConfig(AppConfig):
    name = "referrals"
    verbose_name = _("Referrals")

    def ready(self) -> None:
        from members import home, navigation  # noqa: PLC0415 (models are not loaded before)

        from . import panels  # noqa: PLC0415

        navigation.add(_("Referrals"), "referrals:referral_list", shown_to=panels.is_partner, place=10)
        navigation.name_side(panels.partner_name)
        home.add("referrals/_partner_panel.html", panels.partner, place=10)
