from django.db import migrations

from aegir_support.deeds import Recorded


class Migration(migrations.Migration):
    dependencies = [
        ("members", "0002_support_queue"),
        ("aegir_support", "0002_deeds"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [
        Recorded("members_user", show=["time_zone"]),
        Recorded("members_user_groups"),
        Recorded("members_user_user_permissions"),
        Recorded("auth_group", show=["name"]),
        Recorded("auth_group_permissions"),
        Recorded("account_emailaddress"),
        Recorded("mfa_authenticator", show=["type"]),
        Recorded("members_member", show=["kind", "status", "country", "time_zone"]),
        Recorded("members_representative"),
        Recorded("members_duty", show=["kind"]),
        Recorded("members_queue", show=["name"]),
        Recorded("members_seat"),
        Recorded("members_calendar", show=["name", "time_zone"]),
        Recorded("members_calendarspan"),
    ]
