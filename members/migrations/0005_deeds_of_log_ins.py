from django.db import migrations

from aegir_support.deeds import Recorded


class Migration(migrations.Migration):
    dependencies = [
        ("members", "0004_accounts"),
        ("socialaccount", "0006_alter_socialaccount_extra_data"),
    ]

    operations = [
        # Whoever holds the other account can log in as this person.
        Recorded("socialaccount_socialaccount", show=["provider"]),
    ]
