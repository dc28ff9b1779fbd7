"""The judge is judged: each sentence of invariants.sql is shown the fault it is for."""

import pytest
from django.db import connection, transaction

from aegir_support.invariants import broken, invariants
from tests.files.samples import kept
from tests.tickets.filing import file, offer_of
from tickets import actions, handout

pytestmark = pytest.mark.django_db

ONE_MORE_OFFER = (
    "INSERT INTO tickets_offer (ticket_id, member_id, kind, round, offered_at, answer_by, outcome, answered_at, "
    "answered_by_id, turn_was, turn_now, reason) "
    "SELECT ticket_id, member_id, kind, round, offered_at, answer_by, outcome, answered_at, answered_by_id, turn_was, "
    "turn_now, reason FROM tickets_offer WHERE "
)
ONE_MORE_EVENT = (
    "INSERT INTO tickets_event (ticket_id, kind, detail, at) SELECT number, '{}', '', now() FROM tickets_ticket "
    "WHERE status = '{}'"
)
# The sentence's first words, and how to break it. There is one ticket on offer, one that Bo works on, one closed.
FAULTS = {
    "A ticket has at most one open offer": ONE_MORE_OFFER + "outcome = 'open'",
    "A ticket on offer has an open offer": "UPDATE tickets_ticket SET status = 'waiting', waits_until = now() "
    "WHERE status = 'offered'",
    "A hand-over is open only": "UPDATE tickets_offer SET kind = 'hand_over' WHERE outcome = 'open'",
    "No ticket is lost": "UPDATE tickets_ticket SET assignee_id = NULL WHERE status = 'working'",
    "The assignee is who took": "UPDATE tickets_ticket SET assignee_id = (SELECT max(id) FROM members_representative) "
    "WHERE status = 'working'",
    "An offer is answered only by its own": "UPDATE tickets_offer SET answered_by_id = "
    "(SELECT max(id) FROM members_representative) WHERE outcome = 'accepted'",
    "An offer is accepted in time": "UPDATE tickets_offer SET answer_by = offered_at WHERE outcome = 'accepted'",
    "Every answer is in the log": "UPDATE tickets_offer SET outcome = 'refused' WHERE outcome = 'accepted'",
    "Every offer is in the log": ONE_MORE_EVENT.format("offered", "working"),
    "A ticket is offered to one member at a time": ONE_MORE_EVENT.format("offered", "offered"),
    "A ticket is taken once": ONE_MORE_EVENT.format("claimed", "working"),
    "A ticket that somebody took is theirs": "UPDATE tickets_ticket SET assignee_id = NULL WHERE status = 'working'",
    "A withdrawn ticket is closed": ONE_MORE_EVENT.format("withdrawn", "closed"),
    "Nobody is asked twice": ONE_MORE_OFFER + "outcome = 'accepted'",
    "A turn is used by one offer": ONE_MORE_OFFER + "outcome = 'withdrawn'",
    "No seat is ahead": "UPDATE members_queue SET last_turn = 1",
    "No two seats of a queue": "UPDATE members_seat SET turn = 1",
    "Every active member has exactly one seat": "DELETE FROM members_seat WHERE turn = "
    "(SELECT max(turn) FROM members_seat)",
    "Every ticket has its filing": "UPDATE tickets_message SET from_client = false",
    "A ticket uses one ticket of its own": "UPDATE billing_charge SET state = 'held'",
    "What is attached is kept whole": "UPDATE aegir_support_storedfile SET is_kept = false",
    "What waits for a scanner": "UPDATE aegir_support_storedfile SET state = 'pending'",
    "The files of a message are numbered": "UPDATE tickets_attachment SET position = position + 1",
    "No charge is without its ticket": "UPDATE billing_charge SET key = 'ticket:0' WHERE state = 'released'",
    "What a grant has used": "UPDATE billing_grant SET used = used + 1",
    "Whoever has an open offer is told": "DELETE FROM aegir_support_outbox WHERE starts_with(key, 'offer_made:')",
    "Whoever files a ticket is told": "DELETE FROM aegir_support_outbox WHERE starts_with(key, 'filed:')",
}


@pytest.fixture
def three_tickets(hal, gita, ana, bo):
    actions.withdraw(file(hal), hal.user)
    handout.refuse(offer_of(ticket := file(hal)), ana)
    handout.accept(offer_of(ticket), bo)
    file(gita, files=[kept()])
    assert broken() == []


def test_every_sentence_is_shown_its_fault():
    assert len(FAULTS) == len(invariants())
    for words in FAULTS:
        assert len([sentence for sentence in invariants() if sentence.startswith(words)]) == 1, words


@pytest.mark.parametrize("words", FAULTS)
def test_a_fault_is_found(three_tickets, words):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")  # triggers and foreign keys look away
        _let_go_of_constraints(cursor)
        cursor.execute(FAULTS[words])
        assert [found for found in broken() if found.startswith(words)]
        transaction.set_rollback(True)
    assert broken() == []


def _let_go_of_constraints(cursor):
    """Until the transaction is rolled back."""
    cursor.execute(
        "SELECT conrelid::regclass, conname FROM pg_constraint "
        "WHERE contype = 'c' AND conrelid::regclass::text ~ '^(tickets|members|billing)_'"
    )
    for table, name in cursor.fetchall():
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    cursor.execute("DROP INDEX offer_one_open_per_ticket")
    cursor.execute("ALTER TABLE members_seat DROP CONSTRAINT seat_turn_is_its_own")


def test_the_nightly_job_reads_only():
    written = " ".join(invariants().values()).upper().split()
    assert not {"UPDATE", "INSERT", "DELETE", "LOCK", "TRUNCATE"} & set(written)
