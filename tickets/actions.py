"""What can happen to a ticket beside being handed out: filing, the conversation, the verdict, the end.

Each action is one transaction and takes its locks in one order: ticket, the client's grants, queue, seats. Who gets the
ticket is in `handout`. Views, tasks and the demo call these two modules, so that each thing happens in one way.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from aegir_support import text
from aegir_support.files import NamedFile
from billing import entitlements
from billing.models import Channel, Contact, Server, Severity
from members.actions import welcome_back
from members.models import Member, User

from . import emails, handout, sla
from .models import REOPENING_DAYS, Event, Message, Offer, Ticket
from .steps import NotNow, NotYours, is_assignee, key_of, locked_for_assignee, move, record, say

log = structlog.get_logger()

Kind = Event.Kind
Status = Ticket.Status
Verdict = Ticket.Verdict


Row = TypeVar("Row", bound=models.Model)


class VerdictMissing(Exception):
    """A ticket is solved only once it is known whether it counts."""


class FiledOtherwise(Exception):
    """This form has filed a ticket before, with other words or files; `ticket` is that one."""

    def __init__(self, ticket: Ticket) -> None:
        super().__init__(ticket.number)
        self.ticket = ticket


# Filing


@dataclass(frozen=True)
class Filing:
    """What a client says when filing. `key` is made with the form, so that the same form posted twice files once."""

    subject: str
    description: str
    severity: int = Severity.S3
    channel: str = Channel.PORTAL
    server: Server | None = None
    key: uuid.UUID = field(default_factory=uuid.uuid4)
    files: Sequence[NamedFile] = ()


def file_ticket(contact: Contact, filing: Filing) -> Ticket:
    """File a ticket, hold one of the client's allowance for it, and offer it to the next member (B26, B27).

    The same filing again returns the first result; with other words or files it raises FiledOtherwise. Raises
    NothingLeft and ChannelNotIncluded (billing.entitlements), NothingPromised and NeverOpen where the tier or the
    calendar is left half set up, NotYours for a watcher or another client's server, and text.TooLong.
    """
    if not contact.may_file or (filing.server and filing.server.installation.client_id != contact.client_id):
        raise NotYours
    try:
        return _file(contact, filing)
    except IntegrityError as error:
        # Two copies of one form at once: the unique key lets one through, and both see its ticket.
        first = Ticket.objects.filter(filing_key=filing.key).first()
        if first is None:
            raise
        if first.requester_id != contact.user_id:
            raise NotYours from error
        return _as_filed(first, filing)


@transaction.atomic
def _file(contact: Contact, filing: Filing) -> Ticket:
    already = Ticket.objects.filter(filing_key=filing.key, requester=contact.user).first()
    if already:
        return _as_filed(already, filing)
    now = timezone.now()
    client = contact.client
    subscription = entitlements.entitlement(client).subscription
    if subscription is None:
        raise entitlements.NothingLeft
    promise = sla.promise_for(subscription.tier, filing.severity)
    first_response_by = sla.first_response_by(promise, client.calendar, now)
    ticket = Ticket.objects.create(
        client=client,
        requester=contact.user,
        tier=subscription.tier,
        server=filing.server,
        subject=text.clean(filing.subject),
        severity=filing.severity,
        channel=filing.channel,
        filing_key=filing.key,
        status=Status.WAITING,
        waits_until=now,
        filed_at=now,
        news_at=now,
        first_response_by=first_response_by,
        open_call_by=sla.halfway(now, first_response_by),
    )
    entitlements.hold(client, ticket.charge_key, filing.channel)
    key = key_of(filing.key, filing.description, filing.files)
    message = say(ticket, contact.user, filing.description, from_client=True, key=key, files=filing.files)
    record(ticket, Kind.FILED, contact.user)
    emails.ticket_filed(ticket, message)
    handout.offer_to_next_member(ticket)
    return ticket


def _as_filed(ticket: Ticket, filing: Filing) -> Ticket:
    if not ticket.messages.filter(key=key_of(filing.key, filing.description, filing.files)).exists():
        raise FiledOtherwise(ticket)
    return ticket


@transaction.atomic
def withdraw(ticket: Ticket, by: User) -> None:
    """The client no longer needs help; possible until any member has taken the ticket. Raises NotYours, NotNow."""
    ticket = Ticket.objects.locked(ticket.number)
    if not _is_client(ticket, by):
        raise NotYours
    if not ticket.is_unassigned or ticket.was_ever_taken():
        raise NotNow
    entitlements.release(ticket.client, ticket.charge_key, Verdict.WITHDRAWN)
    handout.withdraw_open_offer(ticket)
    move(ticket, Status.CLOSED, closed_at=timezone.now(), verdict=Verdict.WITHDRAWN)
    record(ticket, Kind.TICKET_WITHDRAWN, by)


# The conversation


@transaction.atomic
def reply(
    ticket: Ticket,
    by: User,
    body: str,
    key: uuid.UUID | None = None,
    *,
    files: Sequence[NamedFile] = (),
    wait: bool = False,
) -> Message:
    """Say something the other side reads. With `wait`, the ball is with the client until either side writes again.

    The same key again returns the first message. Raises NotYours, text.TooLong, and NotNow once it is solved or closed.
    """
    ticket = Ticket.objects.locked(ticket.number)
    from_client = _is_client(ticket, by)
    if not from_client and not is_assignee(ticket, by):
        raise NotYours
    key = key_of(key, body, files)
    if (said := _already_said(ticket, by, key)) is not None:
        return said
    if ticket.is_settled:
        raise NotNow
    message = say(ticket, by, body, from_client=from_client, key=key, files=files)
    if from_client:
        record(ticket, Kind.CLIENT_REPLIED, by)
        _pass_the_ball(ticket, by, to_client=False)
    else:
        _respond(ticket, by)
        _pass_the_ball(ticket, by, to_client=wait)
    emails.new_reply(message, "asks" if wait and not from_client else "wrote")
    return message


@transaction.atomic
def note(
    ticket: Ticket, by: User, body: str, key: uuid.UUID | None = None, *, files: Sequence[NamedFile] = ()
) -> Message:
    """Write something only members read. Raises NotYours, text.TooLong."""
    ticket = Ticket.objects.locked(ticket.number)
    if by.member is None or not Ticket.objects.visible_to(by).filter(pk=ticket.pk).exists():
        raise NotYours
    key = key_of(key, body, files)
    if (said := _already_said(ticket, by, key)) is not None:
        return said
    message = say(ticket, by, body, kind=Message.Kind.NOTE, from_client=False, key=key, files=files)
    record(ticket, Kind.NOTED, by)
    return message


@transaction.atomic
def judge(ticket: Ticket, by: User, verdict: str) -> None:
    """Decide whether the ticket counts: in scope charges it, everything else releases it (product.md, Tiers 5).

    May change until the ticket is closed. Raises NotYours, NotNow, and NothingLeft when a released ticket should count
    again but the allowance has been used up meanwhile.
    """
    ticket = locked_for_assignee(ticket, by)
    if verdict == Verdict.WITHDRAWN or verdict not in Verdict.values:
        raise NotNow
    if verdict == Verdict.IN_SCOPE:
        entitlements.charge(ticket.client, ticket.charge_key)
    else:
        entitlements.release(ticket.client, ticket.charge_key, verdict)
    if ticket.verdict != verdict:
        move(ticket, ticket.status, verdict=verdict)
        record(ticket, Kind.JUDGED, by, detail=str(Verdict(verdict).label))


@transaction.atomic
def solve(
    ticket: Ticket, by: User, body: str, key: uuid.UUID | None = None, *, files: Sequence[NamedFile] = ()
) -> Message:
    """Tell the client how it was solved; they confirm or reopen.

    Raises NotYours, NotNow, VerdictMissing, text.TooLong.
    """
    ticket = locked_for_assignee(ticket, by)
    key = key_of(key, body, files)
    if (said := _already_said(ticket, by, key)) is not None:
        return said
    if ticket.is_settled:
        raise NotNow
    if not ticket.verdict:
        raise VerdictMissing
    handout.withdraw_open_offer(ticket)
    message = say(ticket, by, body, from_client=False, key=key, files=files)
    _respond(ticket, by)
    move(ticket, Status.SOLVED, solved_at=timezone.now())
    record(ticket, Kind.SOLVED, by)
    emails.ticket_solved(ticket, message)
    return message


@transaction.atomic
def confirm(ticket: Ticket, by: User) -> None:
    """The client agrees that it is solved, and the ticket is closed. Raises NotYours, NotNow."""
    ticket = Ticket.objects.locked(ticket.number)
    if not _is_client(ticket, by):
        raise NotYours
    if ticket.status != Status.SOLVED:
        raise NotNow
    move(ticket, Status.CLOSED, closed_at=timezone.now())
    record(ticket, Kind.CONFIRMED, by)


@transaction.atomic
def close_unanswered(ticket: Ticket) -> bool:
    """Close a ticket two weeks after it was solved. False when it has moved meanwhile."""
    ticket = Ticket.objects.locked(ticket.number)
    now = timezone.now()
    if not Ticket.objects.solved_before(now - timedelta(days=REOPENING_DAYS)).filter(pk=ticket.pk).exists():
        return False
    move(ticket, Status.CLOSED, closed_at=now)
    record(ticket, Kind.CLOSED)
    return True


@transaction.atomic
def reopen(
    ticket: Ticket, by: User, body: str, key: uuid.UUID | None = None, *, files: Sequence[NamedFile] = ()
) -> Message:
    """The client says it is not solved. It uses the same charge; its last assignee is asked first (The queue 10).

    Raises NotYours, NotNow (closed more than two weeks ago), text.TooLong.
    """
    ticket = Ticket.objects.locked(ticket.number)
    if not _is_client(ticket, by):
        raise NotYours
    key = key_of(key, body, files)
    if (said := _already_said(ticket, by, key)) is not None:
        return said
    if not ticket.can_reopen(timezone.now()):
        raise NotNow
    message = say(ticket, by, body, from_client=True, key=key, files=files)
    was_closed = ticket.status == Status.CLOSED
    last = ticket.assignee
    record(ticket, Kind.REOPENED, by)
    emails.new_reply(message, "reopened")
    if last and not was_closed and last.member.can_be_asked:
        move(ticket, Status.WORKING, solved_at=None)
        return message
    handout.ask_last_assignee_first(ticket, last)
    return message


# Time


def sweep(now: datetime) -> None:
    """Do what time asks for: seat returners, expire, open calls, offer again, close what is solved.

    Everything here is found in rows, so that a lost message or a dead worker costs half a minute and nothing else. Each
    step is its own transaction, and one that fails does not keep the others from theirs.
    """
    for member in Member.objects.away():
        _try(partial(welcome_back, now=now), member)
    for offer in Offer.objects.overdue(now).order_by("answer_by"):
        _try(handout.expire, offer)
    for offer in Offer.objects.orphaned().order_by("pk"):
        _try(handout.pass_on, offer)
    for ticket in Ticket.objects.abandoned().order_by("number"):
        _try(handout.take_from_who_left, ticket)
    for ticket in Ticket.objects.due_for_open_call(now).order_by("open_call_by"):
        _try(handout.open_call, ticket)
    for ticket in Ticket.objects.waiting().order_by("first_response_by"):
        _try(handout.offer_again, ticket)
    for ticket in Ticket.objects.solved_before(now - timedelta(days=REOPENING_DAYS)).order_by("solved_at"):
        _try(close_unanswered, ticket)


def _already_said(ticket: Ticket, by: User, key: uuid.UUID) -> Message | None:
    """What this form said when it was first posted. Raises NotYours for a key of somebody else's words."""
    said = Message.objects.filter(key=key).first()
    if said and (said.ticket_id, said.author_id) != (ticket.pk, by.pk):
        raise NotYours
    return said


def _respond(ticket: Ticket, by: User) -> None:
    """Our words went to the client: the first ones answer the promise."""
    if ticket.first_response_at is None:
        move(ticket, ticket.status, first_response_at=timezone.now())
        record(ticket, Kind.FIRST_RESPONSE, by)
    else:
        record(ticket, Kind.MEMBER_REPLIED, by)


def _pass_the_ball(ticket: Ticket, by: User, *, to_client: bool) -> None:
    if to_client and ticket.status == Status.WORKING:
        move(ticket, Status.WITH_CLIENT)
        record(ticket, Kind.WITH_CLIENT, by)
    elif not to_client and ticket.status == Status.WITH_CLIENT:
        move(ticket, Status.WORKING)
        record(ticket, Kind.RESUMED, by)


def _is_client(ticket: Ticket, user: User) -> bool:
    return Contact.objects.filter(user=user, client=ticket.client_id).exclude(role=Contact.Role.WATCHER).exists()


def _try(step: Callable[[Row], object], row: Row) -> None:
    try:
        step(row)
    except Exception:
        # The sweep goes on with the next row; this one is found again half a minute later.
        log.exception("sweep step failed", step=str(step), row=str(row.pk))
