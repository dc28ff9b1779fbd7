import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from aegir_support.deeds import Recorded

# members_end_sessions is in members 0004: whoever gets or loses a place at a client is logged out everywhere.
END_SESSIONS = """
CREATE TRIGGER contact_change_ends_sessions AFTER INSERT OR UPDATE OF user_id, client_id, role, sees OR DELETE
    ON billing_contact FOR EACH ROW EXECUTE FUNCTION members_end_sessions();
"""
UNDO = "DROP TRIGGER contact_change_ends_sessions ON billing_contact;"


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_upload_limits"),
        ("members", "0004_accounts"),
    ]

    operations = [
        migrations.RunSQL(END_SESSIONS, UNDO),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("email", models.EmailField(max_length=254, verbose_name="e-mail address")),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("owner", "owner"),
                            ("billing", "billing"),
                            ("technical", "technical"),
                            ("watcher", "watcher"),
                        ],
                        max_length=10,
                        verbose_name="role",
                    ),
                ),
                (
                    "sees",
                    models.CharField(
                        choices=[("all", "all tickets of the client"), ("own", "only tickets they filed")],
                        default="all",
                        max_length=4,
                        verbose_name="sees",
                    ),
                ),
                ("invited_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="invited")),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="by",
                    ),
                ),
                (
                    "client",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="invitations",
                        to="billing.client",
                        verbose_name="client",
                    ),
                ),
                (
                    "contact",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="invitation",
                        to="billing.contact",
                        verbose_name="contact",
                    ),
                ),
            ],
            options={
                "ordering": ["name", "pk"],
                "constraints": [
                    models.UniqueConstraint(fields=("client", "email"), name="invitation_once_for_an_address"),
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ["owner", "billing", "technical", "watcher"])),
                        name="invitation_role_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("sees__in", ["all", "own"])), name="invitation_sees_all_or_own"
                    ),
                ],
            },
        ),
        Recorded("billing_invitation", show=["role", "sees"]),
    ]
