from django.db import migrations

from aegir_support.deeds import Recorded


class Migration(migrations.Migration):
    dependencies = [
        ("referrals", "0001_initial"),
        ("aegir_support", "0002_deeds"),
    ]

    operations = [
        Recorded("referrals_partner", show=["country"]),
        Recorded("referrals_partnercontact"),
    ]
