import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# A session carries the epoch it was begun in. Who writes, and by whatever road, a change of password, role or second
# factor begins a new one.
END_SESSIONS = """
CREATE FUNCTION members_new_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A row saved as it was read a moment ago must not bring back what has been ended since.
    NEW.session_epoch := greatest(OLD.session_epoch, NEW.session_epoch);
    IF (NEW.password, NEW.is_staff, NEW.is_superuser, NEW.is_active)
        IS DISTINCT FROM (OLD.password, OLD.is_staff, OLD.is_superuser, OLD.is_active) THEN
        NEW.session_epoch := OLD.session_epoch + 1;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER user_change_ends_sessions BEFORE UPDATE ON members_user
    FOR EACH ROW EXECUTE FUNCTION members_new_epoch();

CREATE FUNCTION members_end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    people bigint[];
BEGIN
    IF TG_OP <> 'INSERT' THEN people := people || OLD.user_id; END IF;
    IF TG_OP <> 'DELETE' THEN people := people || NEW.user_id; END IF;
    UPDATE members_user SET session_epoch = session_epoch + 1 WHERE id = ANY (people);
    RETURN NULL;
END $$;

CREATE TRIGGER duty_change_ends_sessions AFTER INSERT OR UPDATE OR DELETE ON members_duty
    FOR EACH ROW EXECUTE FUNCTION members_end_sessions();
CREATE TRIGGER representative_change_ends_sessions AFTER INSERT OR UPDATE OR DELETE ON members_representative
    FOR EACH ROW EXECUTE FUNCTION members_end_sessions();
CREATE TRIGGER group_change_ends_sessions AFTER INSERT OR UPDATE OR DELETE ON members_user_groups
    FOR EACH ROW EXECUTE FUNCTION members_end_sessions();
CREATE TRIGGER permission_change_ends_sessions AFTER INSERT OR UPDATE OR DELETE ON members_user_user_permissions
    FOR EACH ROW EXECUTE FUNCTION members_end_sessions();
CREATE TRIGGER second_factor_ends_sessions AFTER INSERT OR DELETE ON mfa_authenticator
    FOR EACH ROW EXECUTE FUNCTION members_end_sessions();
-- Using one, renaming one, and crossing off a recovery code change nothing about who gets in.
CREATE TRIGGER second_factor_change_ends_sessions AFTER UPDATE ON mfa_authenticator
    FOR EACH ROW WHEN (
        NEW.user_id <> OLD.user_id
        OR (NEW.data -> 'secret') IS DISTINCT FROM (OLD.data -> 'secret')
        OR (NEW.data -> 'seed') IS DISTINCT FROM (OLD.data -> 'seed')
        OR (NEW.data -> 'credential') IS DISTINCT FROM (OLD.data -> 'credential')
    ) EXECUTE FUNCTION members_end_sessions();
"""
UNDO = """
DROP TRIGGER second_factor_change_ends_sessions ON mfa_authenticator;
DROP TRIGGER second_factor_ends_sessions ON mfa_authenticator;
DROP TRIGGER permission_change_ends_sessions ON members_user_user_permissions;
DROP TRIGGER group_change_ends_sessions ON members_user_groups;
DROP TRIGGER representative_change_ends_sessions ON members_representative;
DROP TRIGGER duty_change_ends_sessions ON members_duty;
DROP FUNCTION members_end_sessions();
DROP TRIGGER user_change_ends_sessions ON members_user;
DROP FUNCTION members_new_epoch();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("members", "0003_deeds"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="session_epoch",
            field=models.BigIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.CreateModel(
            name="UsedCode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "step",
                    models.BigIntegerField(help_text="The half minute the code belongs to, counted from 1970."),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "step"), name="used_code_is_taken_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Tally",
            fields=[
                (
                    "key",
                    models.CharField(
                        help_text="What is counted and for whom, as a hash.",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("count", models.BigIntegerField()),
                ("ends_at", models.DateTimeField(db_index=True)),
            ],
            options={"verbose_name_plural": "tallies"},
        ),
        migrations.RunSQL("ALTER TABLE members_tally SET UNLOGGED", "ALTER TABLE members_tally SET LOGGED"),
        migrations.RunSQL(END_SESSIONS, UNDO),
    ]
