"""The mails a ticket sends. Each is named by what happened and keyed by its cause, so that it is written once."""

from __future__ import annotations

from django.conf import settings
from django.core import signing
from django.urls import reverse

from aegir_support import mail, text
from billing.models import Severity
from members.models import Duty, Representative, User

from .models import Message, Offer, Ticket
from .sla import SEVERITY_MEANINGS

LINK_SALT = "tickets.offer"


def offer_token(offer: Offer, representative: Representative) -> str:
    """What the link in an offer's mail carries: this offer and this representative, signed."""
    return signing.dumps([offer.pk, representative.pk], salt=LINK_SALT)


def read_offer_token(token: str) -> tuple[int, int]:
    """The offer's and the representative's key. Raises signing.BadSignature."""
    offer, representative = signing.loads(token, salt=LINK_SALT)
    return int(offer), int(representative)


def ticket_filed(ticket: Ticket) -> None:
    mail.send("ticket_filed", ticket.requester.email, _about(ticket), key=f"filed:{ticket.number}")


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


def call_opened(ticket: Ticket) -> None:
    """Tell whoever coordinates that nobody has taken this ticket (B29)."""
    for duty in Duty.objects.current().coordinators().select_related("user"):
        mail.send(
            "call_opened",
            duty.user.email,
            {**_about(ticket), "person": duty.user},
            key=f"call_opened:{ticket.number}:{ticket.open_call_at}:{duty.user_id}",
        )


def new_reply(message: Message) -> None:
    """To the assignee when the client wrote, to the client's people on the ticket when we did."""
    ticket = message.ticket
    context = {**_about(ticket), **_words_of(message)}
    for person in _readers(message):
        mail.send("new_reply", person.email, context, key=f"reply:{message.pk}:{person.pk}")


def ticket_solved(ticket: Ticket, message: Message) -> None:
    context = {**_about(ticket), **_words_of(message)}
    mail.send("ticket_solved", ticket.requester.email, context, key=f"solved:{message.pk}")


def _readers(message: Message) -> list[User]:
    ticket = message.ticket
    if message.from_client:
        return [ticket.assignee.user] if ticket.assignee else []
    wrote = User.objects.filter(pk__in=ticket.messages.filter(from_client=True).values("author"))
    return list(wrote | User.objects.filter(pk=ticket.requester_id))


def _about(ticket: Ticket) -> dict[str, object]:
    return {"ticket": ticket, "link": settings.SITE_URL + reverse("tickets:ticket", args=[ticket.number])}


def _words_of(message: Message) -> dict[str, object]:
    # Markdown is good plain text as it was written; the other half of the mail shows it rendered.
    return {"message": message, "preview": text.excerpt(message.body, 120)}


def _queue_link() -> str:
    return settings.SITE_URL + reverse("tickets:queue")
