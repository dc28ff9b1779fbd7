from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AegirSupportConfig(AppConfig):
    name = "aegir_support"
    verbose_name = _("Running it")

    def ready(self) -> None:
        from . import mail, outbox  # noqa: PLC0415 - models can be imported only once the apps are ready

        outbox.handlers["mail"] = mail.deliver

        from . import gauges, metrics  # noqa: PLC0415

        for read in [gauges.outbox, gauges.periodic_jobs, gauges.database, gauges.sessions]:
            metrics.add(read)

        from members import navigation  # noqa: PLC0415

        from . import deeds_page  # noqa: PLC0415

        navigation.add(_("Deeds"), "deeds", shown_to=deeds_page.may_read, place=80)
