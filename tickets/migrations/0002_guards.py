from django.db import migrations

# A ticket on offer has exactly one open offer to somebody who could take it, and one with an open offer is on offer.
# Looked at when the transaction ends, because an action changes the two rows one after the other. A hand-over is
# open while its ticket stays with its assignee.
ON_OFFER = """
CREATE FUNCTION tickets_check_on_offer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    the_number bigint := CASE WHEN TG_TABLE_NAME = 'tickets_ticket'
        THEN (to_jsonb(NEW)->>'number')::bigint ELSE (to_jsonb(NEW)->>'ticket_id')::bigint END;
    the_status text;
    is_on_offer boolean;
BEGIN
    SELECT status INTO the_status FROM tickets_ticket WHERE number = the_number;
    is_on_offer := EXISTS (SELECT FROM tickets_offer WHERE ticket_id = the_number AND outcome = 'open'
                           AND kind IN ('turn', 'reopened'));
    IF (the_status = 'offered') <> is_on_offer THEN
        RAISE EXCEPTION 'ticket % is % and has %', the_number, the_status,
            CASE WHEN is_on_offer THEN 'an open offer' ELSE 'no open offer' END
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ticket_on_offer_has_an_open_offer';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER ticket_on_offer_has_an_open_offer
    AFTER INSERT OR UPDATE OF status ON tickets_ticket DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION tickets_check_on_offer();
CREATE CONSTRAINT TRIGGER ticket_on_offer_has_an_open_offer
    AFTER INSERT OR UPDATE OF outcome ON tickets_offer DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION tickets_check_on_offer();
"""
UNDO_ON_OFFER = """
DROP TRIGGER ticket_on_offer_has_an_open_offer ON tickets_offer;
DROP TRIGGER ticket_on_offer_has_an_open_offer ON tickets_ticket;
DROP FUNCTION tickets_check_on_offer();
"""

# What happened, happened: the log has no gap and no second version (B14).
LOG = """
CREATE FUNCTION tickets_event_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of a ticket is only added to'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'event_never_changes';
END $$;

CREATE TRIGGER event_never_changes BEFORE UPDATE OR DELETE ON tickets_event
    FOR EACH ROW EXECUTE FUNCTION tickets_event_never_changes();
"""
UNDO_LOG = """
DROP TRIGGER event_never_changes ON tickets_event;
DROP FUNCTION tickets_event_never_changes();
"""

# Numbers people say aloud begin at four digits.
FIRST_NUMBER = "ALTER SEQUENCE tickets_ticket_number_seq RESTART WITH 1001"


def ship_windows(apps, schema_editor):
    windows = apps.get_model("tickets", "OfferWindow").objects
    for severity, minutes in {1: 15, 2: 30, 3: 120, 4: 240}.items():
        windows.get_or_create(severity=severity, defaults={"minutes": minutes})


class Migration(migrations.Migration):
    dependencies = [("tickets", "0001_initial")]

    operations = [
        migrations.RunSQL(ON_OFFER, UNDO_ON_OFFER),
        migrations.RunSQL(LOG, UNDO_LOG),
        migrations.RunSQL(FIRST_NUMBER, migrations.RunSQL.noop),
        migrations.RunPython(ship_windows, migrations.RunPython.noop),
    ]
