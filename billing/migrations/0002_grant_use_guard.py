from django.db import migrations

# `used` of a grant is what its charges say, whoever writes them; grant_never_overdrawn then refuses one too many.
COUNT_USE = """
CREATE FUNCTION billing_count_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.state <> 'released' THEN
        UPDATE billing_grant SET used = used - 1 WHERE id = OLD.grant_id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.state <> 'released' THEN
        UPDATE billing_grant SET used = used + 1 WHERE id = NEW.grant_id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER charge_counts_as_use AFTER INSERT OR DELETE OR UPDATE OF grant_id, state ON billing_charge
    FOR EACH ROW EXECUTE FUNCTION billing_count_use();
"""
UNDO = """
DROP TRIGGER charge_counts_as_use ON billing_charge;
DROP FUNCTION billing_count_use();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [migrations.RunSQL(COUNT_USE, UNDO)]
