from django.db import migrations

from aegir_support.deeds import Recorded


class Migration(migrations.Migration):
    dependencies = [
        ("tickets", "0003_say_constraints_kindly"),
        ("aegir_support", "0002_deeds"),
    ]

    operations = [
        Recorded("tickets_ticket", show=["channel", "status", "verdict"]),
        Recorded("tickets_offerwindow"),
        Recorded("tickets_offer", show=["kind", "outcome"]),
        Recorded("tickets_message", show=["kind"]),
        Recorded("tickets_event", show=["kind"]),
    ]
