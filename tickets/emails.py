"""The mails a ticket sends. Each is named by what happened and keyed by its cause, so that it is written once."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.core import signing
from django.db.models import Q
from django.urls import reverse

from aegir_support import mail, text
from aegir_support.uploads import megabytes
from billing.models import Contact, Severity
from members.access import coordinator_on_duty
from members.models import Member, Representative, User

from .models import Message, Offer, Ticket
from .sla import SEVERITY_MEANINGS

log = structlog.get_logger()

LINK_SALT = "tickets.offer"


def offer_token(offer: Offer, representative: Representative) -> str:
    """What the link in an offer's mail carries: this offer and this representative, signed."""
    return signing.dumps([offer.pk, representative.pk], salt=LINK_SALT)


def read_offer_token(token: str) -> tuple[int, int]:
    """The offer's and the representative's key. Raises signing.BadSignature."""
    offer, representative = signing.loads(token, salt=LINK_SALT)
    return int(offer), int(representative)


def ticket_filed(ticket: Ticket, message: Message) -> None:
    context = {**_about(ticket), "files": _files_of(message)}
    mail.send("ticket_filed", ticket.requester.email, context, key=f"filed:{ticket.number}")


def offer_made(offer: Offer) -> None:
    for representative in offer.member.representatives.select_related("user"):
        link = settings.SITE_URL + reverse("tickets:answer_offer", args=[offer_token(offer, representative)])
        mail.send(
            "offer_made",
            representative.user.email,
            {
                "offer": offer,
                "ticket": offer.ticket,
                "severity_meaning": SEVERITY_MEANINGS[Severity(offer.ticket.severity)],
                "link": link,
                "person": representative.user,
            },
            key=f"offer_made:{offer.pk}:{representative.pk}",
        )


def offer_expired(offer: Offer) -> None:
    for representative in offer.member.representatives.select_related("user"):
        mail.send(
            "offer_expired",
            representative.user.email,
            {"offer": offer, "ticket": offer.ticket, "link": _queue_link(), "person": representative.user},
            key=f"offer_expired:{offer.pk}:{representative.pk}",
        )


def hand_over_answered(offer: Offer) -> None:
    """Tell whoever offered their ticket what came of it."""
    assignee = offer.ticket.assignee
    if assignee is not None:
        context = {**_about(offer.ticket), "offer": offer, "person": assignee.user}
        mail.send("hand_over_answered", assignee.user.email, context, key=f"hand_over:{offer.pk}")


def call_opened(ticket: Ticket) -> None:
    """Tell the coordinator on duty that nobody has taken this ticket (B29); others who coordinate see it at home."""
    coordinator = coordinator_on_duty()
    if coordinator is None:
        log.error("a ticket is on open call and nobody is on duty", ticket=ticket.number)
        return
    key = f"call_opened:{ticket.number}:{ticket.open_call_at}:{coordinator.pk}"
    mail.send("call_opened", coordinator.email, {**_about(ticket), "person": coordinator}, key=key)


def new_reply(message: Message, happening: str = "wrote") -> None:
    """To the assignee when the client wrote, to the client's people on the ticket when we did.

    `happening` is what the subject says: somebody wrote, asks for an answer, or reopened.
    """
    ticket = message.ticket
    context = {**_about(ticket), **_words_of(message), "happening": happening}
    for person in _readers(message):
        mail.send("new_reply", person.email, context, key=f"reply:{message.pk}:{person.pk}")


def ticket_solved(ticket: Ticket, message: Message) -> None:
    context = {**_about(ticket), **_words_of(message)}
    for person in _clients_people(ticket):
        mail.send("ticket_solved", person.email, context, key=f"solved:{message.pk}:{person.pk}")


def _readers(message: Message) -> list[User]:
    if not message.from_client:
        return _clients_people(message.ticket)
    assignee = message.ticket.assignee
    if assignee and assignee.user.is_active and assignee.member.status != Member.Status.LEFT:
        return [assignee.user]
    return []


def _clients_people(ticket: Ticket) -> list[User]:
    """Whoever filed the ticket or wrote on it, as long as they are of the client and may still read it."""
    on_it = Q(user=ticket.requester_id) | Q(user__in=ticket.messages.filter(from_client=True).values("author"))
    contacts = ticket.client.contacts.filter(on_it, user__is_active=True).select_related("user")
    return [
        contact.user
        for contact in contacts
        if contact.sees == Contact.Sees.ALL or contact.user_id == ticket.requester_id
    ]


def _about(ticket: Ticket) -> dict[str, object]:
    return {"ticket": ticket, "link": settings.SITE_URL + reverse("tickets:ticket", args=[ticket.number])}


def _words_of(message: Message) -> dict[str, object]:
    # Markdown is good plain text as it was written; the other half of the mail shows it rendered.
    return {"message": message, "preview": text.excerpt(message.body, 120), "files": _files_of(message)}


def _files_of(message: Message) -> list[str]:
    """What came along, by name and size; a mail carries no file, since who may read it is asked on our pages."""
    return [f"{each} ({megabytes(each.file.size)})" for each in message.attachments.select_related("file")]


def _queue_link() -> str:
    return settings.SITE_URL + reverse("tickets:queue")
