from django.db import migrations

# members_end_sessions is in members 0004: whoever gets or loses a place at a partner is logged out everywhere.
END_SESSIONS = """
CREATE TRIGGER contact_change_ends_sessions AFTER INSERT OR UPDATE OF user_id, partner_id OR DELETE
    ON referrals_partnercontact FOR EACH ROW EXECUTE FUNCTION members_end_sessions();
"""
UNDO = "DROP TRIGGER contact_change_ends_sessions ON referrals_partnercontact;"


class Migration(migrations.Migration):
    dependencies = [
        ("referrals", "0002_deeds"),
        ("members", "0004_accounts"),
    ]

    operations = [migrations.RunSQL(END_SESSIONS, UNDO)]
