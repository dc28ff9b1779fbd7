from django.db import migrations

from aegir_support.deeds import Recorded


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0003_say_constraints_kindly"),
        ("aegir_support", "0002_deeds"),
    ]

    operations = [
        Recorded("billing_tier", show=["code", "name", "price_basis", "channels"]),
        Recorded("billing_promise", show=["unit"]),
        Recorded("billing_pack", show=["code"]),
        Recorded("billing_price", show=["currency"]),
        Recorded("billing_client", show=["country", "currency"]),
        Recorded("billing_contact", show=["role", "sees"]),
        Recorded("billing_installation", show=["aegir_version"]),
        Recorded("billing_server"),
        Recorded("billing_subscription"),
        Recorded("billing_grant", show=["kind"]),
        Recorded("billing_charge", show=["key", "state", "reason"]),
    ]
