"""The demo's cast and week, in a database that is its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.utils import timezone

from aegir_support import demo, outbox
from aegir_support.demo_before import BEFORE
from aegir_support.demo_now import NOW
from aegir_support.demo_telling import clock_at, tell
from members.models import User

BEFORE_THE_WEEK = timedelta(days=8)


class Command(BaseCommand):
    help = "Load the demo's cast and its week, once; `make demo` calls it."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO and settings.DEPLOYMENT != "test":
            raise CommandError("This loads invented people with a known password; only a demo may do so.")
        cast = {email for email, _who in demo.LOGINS}
        here = set(User.objects.values_list("email", flat=True))
        if cast <= here:
            self.stdout.write("The demo is here already; nothing was changed.")
            return
        if here:
            raise CommandError("This database has users who are not the demo's, so the demo is not loaded into it.")
        load()
        self.stdout.write("The demo's week is loaded.")


def load() -> None:
    """Everything or nothing, so that a run that was broken off can be repeated; then the week's mails are delivered."""
    now = timezone.now()
    with transaction.atomic():
        with clock_at(now - BEFORE_THE_WEEK):
            cast = demo.make_cast()
        _number_tickets_from(1031)
        tell([*BEFORE, *NOW], cast, until=now)
    while outbox.drain():
        pass


def _number_tickets_from(number: int) -> None:
    # These clients are not the first ones.
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('tickets_ticket', 'number'), %s, false)", [number])
