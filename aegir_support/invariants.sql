-- What must be true of the data at every moment. Each query names a sentence and must return no row; a row it returns
-- is a fault, shown as it is. It judges every race and every killed process of the tests, each restored backup, and every
-- night the data in use; it reads only, and locks nothing, so that it can run beside the work.

-- A ticket has at most one open offer.
SELECT ticket_id, count(*) FROM tickets_offer WHERE outcome = 'open' GROUP BY ticket_id HAVING count(*) > 1;

-- A ticket on offer has an open offer, and one with an open offer is on offer; a hand-over leaves it with its assignee.
SELECT number, status FROM tickets_ticket AS ticket
WHERE (status = 'offered') <> EXISTS (
    SELECT FROM tickets_offer WHERE ticket_id = number AND outcome = 'open' AND kind IN ('turn', 'reopened'));

-- A hand-over is open only while its ticket is worked on.
SELECT number, status FROM tickets_ticket JOIN tickets_offer ON ticket_id = number
WHERE outcome = 'open' AND kind = 'hand_over' AND status NOT IN ('working', 'with_client');

-- No ticket is lost: it is on offer, waits until a date, is on open call, has an assignee, or is closed.
SELECT number, status, assignee_id, waits_until, open_call_at FROM tickets_ticket
WHERE NOT CASE status
    WHEN 'offered' THEN assignee_id IS NULL
    WHEN 'waiting' THEN assignee_id IS NULL AND waits_until IS NOT NULL
    WHEN 'open_call' THEN assignee_id IS NULL AND open_call_at IS NOT NULL
    WHEN 'closed' THEN closed_at IS NOT NULL AND verdict <> ''
    WHEN 'solved' THEN assignee_id IS NOT NULL AND solved_at IS NOT NULL AND verdict <> ''
    ELSE assignee_id IS NOT NULL
END;

-- The assignee is who took the ticket last.
SELECT number, assignee_id, taken.answered_by_id FROM tickets_ticket
LEFT JOIN LATERAL (
    SELECT answered_by_id FROM tickets_offer WHERE ticket_id = number AND outcome = 'accepted'
    ORDER BY answered_at DESC, id DESC LIMIT 1) AS taken ON true
WHERE assignee_id IS NOT NULL AND assignee_id IS DISTINCT FROM taken.answered_by_id;

-- An offer is answered only by its own member.
SELECT offer.id, offer.member_id, answerer.member_id FROM tickets_offer AS offer
JOIN members_representative AS answerer ON answerer.id = answered_by_id WHERE answerer.member_id <> offer.member_id;

-- An offer is accepted in time, and expires only when its time is over.
SELECT id, outcome, answered_at, answer_by FROM tickets_offer
WHERE kind <> 'claim'
AND (outcome = 'accepted' AND answered_at >= answer_by OR outcome = 'expired' AND answered_at < answer_by);

-- Every answer is in the log, once: no answer that was given is overwritten.
SELECT coalesce(answer.ticket_id, logged.ticket_id) AS ticket, coalesce(answer.kind, logged.kind) AS kind,
    coalesce(answer.n, 0) AS answers, coalesce(logged.n, 0) AS logged
FROM (
    SELECT ticket_id, count(*) AS n, CASE
        WHEN kind = 'hand_over' AND outcome = 'withdrawn' THEN 'hand_over_withdrawn'
        WHEN outcome = 'withdrawn' THEN 'offer_withdrawn'
        WHEN kind = 'claim' THEN 'claimed'
        WHEN kind = 'hand_over' AND outcome = 'accepted' THEN 'handed_over'
        WHEN kind = 'hand_over' THEN 'hand_over_refused'
        ELSE outcome END AS kind
    FROM tickets_offer WHERE outcome <> 'open' GROUP BY 1, 3) AS answer
FULL JOIN (
    SELECT ticket_id, count(*) AS n, kind FROM tickets_event
    WHERE kind IN ('accepted', 'refused', 'expired', 'claimed', 'handed_over', 'hand_over_refused', 'hand_over_withdrawn',
        'offer_withdrawn')
    GROUP BY 1, 3) AS logged ON logged.ticket_id = answer.ticket_id AND logged.kind = answer.kind
WHERE answer.n IS DISTINCT FROM logged.n;

-- Every offer is in the log, once.
SELECT ticket_id, offers, logged FROM (
    SELECT ticket_id, count(*) AS offers FROM tickets_offer WHERE kind <> 'claim' GROUP BY 1) AS offered
FULL JOIN (
    SELECT ticket_id, count(*) AS logged FROM tickets_event WHERE kind IN ('offered', 'asked_again', 'hand_over_offered')
    GROUP BY 1
) AS logs USING (ticket_id)
WHERE offers IS DISTINCT FROM logged;

-- A ticket is offered to one member at a time: what was offered is answered before the next is asked.
SELECT ticket_id, id, kind FROM (
    SELECT ticket_id, id, kind, lag(kind) OVER (PARTITION BY ticket_id ORDER BY id) AS before FROM tickets_event
    WHERE kind IN ('offered', 'asked_again', 'accepted', 'refused', 'expired', 'offer_withdrawn')) AS step
WHERE kind IN ('offered', 'asked_again') AND before IN ('offered', 'asked_again');

-- A ticket is taken once: taken again only after it was given back or reopened.
SELECT ticket_id, id, kind FROM (
    SELECT ticket_id, id, kind, lag(kind) OVER (PARTITION BY ticket_id ORDER BY id) AS before FROM tickets_event
    WHERE kind IN ('accepted', 'claimed', 'given_back', 'reopened')) AS step
WHERE kind IN ('accepted', 'claimed') AND before IN ('accepted', 'claimed');

-- A ticket that somebody took is theirs until it is given back or reopened.
SELECT number, status, kind FROM tickets_ticket
CROSS JOIN LATERAL (
    SELECT kind FROM tickets_event
    WHERE ticket_id = number AND kind IN ('accepted', 'claimed', 'given_back', 'reopened') ORDER BY id DESC LIMIT 1
) AS last_step
WHERE kind IN ('accepted', 'claimed') AND assignee_id IS NULL;

-- A withdrawn ticket is closed, and withdrawn once.
SELECT number, status, verdict, withdrawals FROM tickets_ticket
CROSS JOIN LATERAL (
    SELECT count(*) AS withdrawals FROM tickets_event WHERE ticket_id = number AND kind = 'withdrawn') AS logged
WHERE withdrawals <> (verdict = 'withdrawn')::int OR verdict = 'withdrawn' AND status <> 'closed';

-- Nobody is asked twice in one round.
SELECT ticket_id, round, member_id, count(*) FROM tickets_offer
WHERE kind IN ('turn', 'reopened') AND outcome <> 'withdrawn' GROUP BY 1, 2, 3 HAVING count(*) > 1;

-- A turn is used by one offer.
SELECT turn_now, array_agg(id) FROM tickets_offer WHERE kind = 'turn' GROUP BY turn_now HAVING count(*) > 1;

-- No seat is ahead of the last turn given out.
SELECT seat.id, turn, last_turn FROM members_seat AS seat JOIN members_queue AS queue ON queue.id = queue_id
WHERE turn > last_turn;

-- No two seats of a queue have the same turn.
SELECT queue_id, turn, count(*) FROM members_seat GROUP BY 1, 2 HAVING count(*) > 1;

-- Every active member has exactly one seat in the support queue.
SELECT member.id, count(seat.id) FROM members_member AS member
LEFT JOIN members_seat AS seat
    ON seat.member_id = member.id AND seat.queue_id = (SELECT id FROM members_queue WHERE name = 'support')
WHERE status = 'active' GROUP BY member.id HAVING count(seat.id) <> 1;

-- Every ticket has its filing in the log, once, and its client's words.
SELECT number, filings, words FROM tickets_ticket
CROSS JOIN LATERAL (SELECT count(*) AS filings FROM tickets_event WHERE ticket_id = number AND kind = 'filed') AS logged
CROSS JOIN LATERAL (SELECT count(*) AS words FROM tickets_message WHERE ticket_id = number AND from_client) AS said
WHERE filings <> 1 OR words = 0;

-- A ticket uses one ticket of its own client's allowance, as its verdict says.
SELECT number, ticket.client_id, billing_grant.client_id AS charged_to, verdict, charge.state FROM tickets_ticket AS ticket
LEFT JOIN billing_charge AS charge ON charge.key = 'ticket:' || number
LEFT JOIN billing_grant ON billing_grant.id = charge.grant_id
WHERE billing_grant.client_id IS DISTINCT FROM ticket.client_id
OR charge.state IS DISTINCT FROM CASE verdict WHEN '' THEN 'held' WHEN 'in' THEN 'charged' ELSE 'released' END;

-- What is attached is kept whole.
SELECT attachment.id, file.id FROM tickets_attachment AS attachment
JOIN aegir_support_storedfile AS file ON file.id = file_id WHERE NOT is_kept OR media_type = '';

-- What waits for a scanner is asked about, and what is withheld says why.
SELECT id, state, wanted_at, infection FROM aegir_support_storedfile
WHERE state = 'pending' AND wanted_at IS NULL OR (state = 'infected') <> (infection <> '');

-- The files of a message are numbered from one, without a gap.
SELECT message_id, count(*), max(position) FROM tickets_attachment
GROUP BY message_id HAVING count(*) <> max(position) OR min(position) <> 1;

-- No charge is without its ticket.
SELECT charge.key FROM billing_charge AS charge
WHERE charge.key LIKE 'ticket:%' AND NOT EXISTS (SELECT FROM tickets_ticket WHERE 'ticket:' || number = charge.key);

-- What a grant has used is what its charges say, and never more than it has.
SELECT billing_grant.id, tickets, used, charges FROM billing_grant
CROSS JOIN LATERAL (
    SELECT count(*) AS charges FROM billing_charge WHERE grant_id = billing_grant.id AND state <> 'released') AS counted
WHERE used <> charges OR used > tickets;

-- Whoever has an open offer is told of it.
SELECT offer.id FROM tickets_offer AS offer
WHERE outcome = 'open' AND EXISTS (SELECT FROM members_representative WHERE member_id = offer.member_id)
AND NOT EXISTS (SELECT FROM aegir_support_outbox WHERE starts_with(key, 'offer_made:' || offer.id || ':'));

-- Whoever files a ticket is told so.
SELECT number FROM tickets_ticket
WHERE filed_at > now() - interval '1 day'
AND NOT EXISTS (SELECT FROM aegir_support_outbox WHERE key = 'filed:' || number);
