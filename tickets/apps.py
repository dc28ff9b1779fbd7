from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TicketsConfig(AppConfig):
    name = "tickets"
    verbose_name = _("Tickets")

    def ready(self) -> None:
        from aegir_support import metrics  # noqa: PLC0415
        from members import home, navigation  # noqa: PLC0415 (models are not loaded before)

        from . import gauges, panels  # noqa: PLC0415

        navigation.add(_("Queue"), "tickets:queue", shown_to=panels.in_the_queue, place=10)
        navigation.add(_("Tickets"), "tickets:ticket_list", shown_to=panels.sees_tickets, place=20)
        home.add("tickets/_client_panel.html", panels.client_tickets, place=10)
        home.add("tickets/_member_panel.html", panels.member_desk, place=10)
        home.add("tickets/_watch_panel.html", panels.watch, place=20)
        metrics.add(gauges.queue)
