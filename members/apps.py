from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MembersConfig(AppConfig):
    name = "members"
    verbose_name = _("Members")

    def ready(self) -> None:
        from aegir_support import outbox  # noqa: PLC0415 (models are not loaded before)

        from . import accounts, home, navigation  # noqa: PLC0415

        outbox.handlers["new password"] = accounts.mail_new_password
        navigation.add(_("Set-up"), "admin:index", shown_to=home.sets_up, place=90)
        home.add("members/_setup_panel.html", home.setup, place=40)
