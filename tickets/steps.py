"""The steps every action on a ticket is made of: change its state, say something on it, write down what happened."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from django.utils import timezone

from aegir_support import text
from aegir_support.files import NamedFile
from members.models import Member, User

from .models import Attachment, Event, Message, Ticket


class NotYours(Exception):
    """Only the responsible party may do this."""


class NotNow(Exception):
    """The ticket is not in a state in which this can happen."""


def move(ticket: Ticket, status: str, **facts: object) -> None:
    """Set the status and what goes with it; what belongs to another status is cleared."""
    ticket.status = status
    ticket.waits_until = ticket.open_call_at = None
    ticket.news_at = timezone.now()
    for name, value in facts.items():
        setattr(ticket, name, value)
    ticket.save()


def say(
    ticket: Ticket,
    author: User,
    body: str,
    *,
    kind: str = Message.Kind.REPLY,
    from_client: bool,
    key: uuid.UUID,
    files: Sequence[NamedFile] = (),
) -> Message:
    body = text.clean(body)
    if kind == Message.Kind.REPLY:  # a note is no news to the client
        Ticket.objects.filter(pk=ticket.pk).update(news_at=timezone.now())
    message = Message.objects.create(
        ticket=ticket,
        author=author,
        kind=kind,
        from_client=from_client,
        body=body,
        html=text.render(body),
        key=key,
    )
    Attachment.objects.bulk_create(
        Attachment(message=message, file=each.file, name=each.name, position=place)
        for place, each in enumerate(files, start=1)
    )
    return message


def key_of(form: uuid.UUID | None, body: str, files: Sequence[NamedFile]) -> uuid.UUID:
    """The key of what a form says. The form sent again with other words or files, after Back or Cancel, says more."""
    if form is None:
        return uuid.uuid4()
    said = [text.clean(body), *(f"{each.name}/{each.file.sha256}" for each in files)]
    return uuid.uuid5(form, hashlib.sha256("\0".join(said).encode()).hexdigest())


def record(
    ticket: Ticket, kind: str, actor: User | None = None, *, member: Member | None = None, detail: str = ""
) -> None:
    Event.objects.create(ticket=ticket, kind=kind, actor=actor, member=member, detail=detail)


def locked_for_assignee(ticket: Ticket, by: User) -> Ticket:
    locked = Ticket.objects.locked(ticket.number)
    if not is_assignee(locked, by):
        raise NotYours
    if locked.status == Ticket.Status.CLOSED:
        raise NotNow
    return locked


def is_assignee(ticket: Ticket, user: User) -> bool:
    """The assignee, or another representative of the same member: the member answers for it (B16)."""
    return ticket.assignee is not None and user.member is not None and ticket.assignee.member_id == user.member.pk
