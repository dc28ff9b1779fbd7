"""What can happen to what a client has. Each action is one transaction."""

from __future__ import annotations

import calendar
import uuid
from datetime import date

from django.db import transaction

from aegir_support import mail, outbox
from aegir_support.models import Outbox
from members import actions as members
from members.models import User

from .models import Client, Contact, Grant, Invitation, Pack, Price, Promise, Subscription, Tier


class NotAllowed(Exception):
    """Only the client's owner may do this."""


class AlreadyAsked(Exception):
    """This address is among the client's people, or its invitation is."""


@transaction.atomic
def start_subscription(client: Client, tier: Tier, *, cpus: int, starts_on: date, ends_on: date) -> Subscription:
    """Put a term in force, with the grant of its included tickets (product.md, Tiers 4).

    Raises ValidationError for days that overlap another term of the client.
    """
    subscription = Subscription(client=client, tier=tier, cpus=cpus, starts_on=starts_on, ends_on=ends_on)
    subscription.full_clean()
    subscription.save()
    grant_term(subscription)
    return subscription


def grant_term(subscription: Subscription) -> Grant:
    """The tickets a term brings, once."""
    grant, _made = Grant.objects.get_or_create(
        subscription=subscription,
        defaults={
            "client": subscription.client,
            "kind": Grant.Kind.TERM,
            "tickets": subscription.tickets,
            "starts_on": subscription.starts_on,
            "ends_on": subscription.ends_on,
        },
    )
    return grant


@transaction.atomic
def grant_pack(client: Client, pack: Pack, *, starts_on: date) -> Grant:
    """The tickets of a pack, for as many months as it lives (B30)."""
    return Grant.objects.create(
        client=client,
        kind=Grant.Kind.PACK,
        tickets=pack.tickets,
        starts_on=starts_on,
        ends_on=months_later(starts_on, pack.valid_months),
    )


@transaction.atomic
def new_version(tier: Tier) -> Tier:
    """A copy of this version with its promises and prices, to be changed; running terms keep the old one (Tiers 2).

    It takes the place of a version on sale at once; a copy of one that is off sale is off sale too.
    """
    versions = Tier.objects.filter(code=tier.code)
    old = {each.pk: each for each in versions.select_for_update().order_by("pk")}[tier.pk]
    versions.filter(pk=old.pk).update(on_sale=False)
    facts = {field.name: getattr(old, field.name) for field in Tier._meta.fields if not field.primary_key}
    new = Tier.objects.create(**{**facts, "version": versions.latest("version").version + 1})
    Promise.objects.bulk_create(
        Promise(tier=new, severity=each.severity, amount=each.amount, unit=each.unit) for each in old.promises.all()
    )
    Price.objects.bulk_create(
        Price(tier=new, currency=each.currency, amount_cents=each.amount_cents) for each in old.prices.all()
    )
    return new


@transaction.atomic
def invite_contact(
    by: User, client: Client, *, email: str, name: str, role: str, sees: str = Contact.Sees.ALL
) -> Contact:
    """Let the client's owner bring in a colleague. Raises NotAllowed, members.actions.AlreadyHere."""
    if not _owns(by, client):
        raise NotAllowed
    user = members.invite(email, name, by=f"{by.name}, {client.name}", time_zone=by.time_zone)
    return Contact.objects.create(user=user, client=client, role=role, sees=sees)


@transaction.atomic
def ask_in(by: User, client: Client, *, email: str, name: str, role: str, sees: str = Contact.Sees.ALL) -> Invitation:
    """Note down whom the owner wants; a job sends the invitation (`carry_out`). Raises NotAllowed, AlreadyAsked.

    What happens here is the same for every address, so that neither words nor time tell who has an account.
    """
    if not _owns(by, client):
        raise NotAllowed
    facts = {"name": name, "role": role, "sees": sees, "by": by}
    if client.contacts.filter(user__email=email.lower()).exists():
        raise AlreadyAsked
    invitation, is_new = Invitation.objects.get_or_create(client=client, email=email.lower(), defaults=facts)
    if not is_new:
        raise AlreadyAsked
    _have_it_sent(invitation)
    return invitation


@transaction.atomic
def ask_again(invitation: Invitation, by: User, key: uuid.UUID | None = None) -> None:
    """Send it once more; with the key of a form that has asked for it already, not again. Raises NotAllowed."""
    if not _owns(by, invitation.client):
        raise NotAllowed
    Invitation.objects.filter(pk=invitation.pk).update(by=by)
    _have_it_sent(invitation, key)


def carry_out(row: Outbox) -> None:
    """Make the account and mail its link; where the address has one already, tell only its owner."""
    found = Invitation.objects.select_for_update(of=("self",)).filter(pk=row.payload["invitation"]).open()
    invitation = found.select_related("client", "by", "contact__user").first()
    if invitation is None or not _owns(invitation.by, invitation.client):
        return
    by = f"{invitation.by.name}, {invitation.client.name}"
    if invitation.contact:
        members.send_invitation(invitation.contact.user, by=by)
        return
    facts = {"email": invitation.email, "name": invitation.name, "role": invitation.role, "sees": invitation.sees}
    try:
        invitation.contact = invite_contact(invitation.by, invitation.client, **facts)
    except members.AlreadyHere:
        mail.send("invited_elsewhere", invitation.email, {"by": by}, key=f"invited-elsewhere:{row.pk}")
    else:
        invitation.save(update_fields=["contact"])


def _have_it_sent(invitation: Invitation, key: uuid.UUID | None = None) -> None:
    outbox.put("invitation", {"invitation": invitation.pk}, key=f"invite:{invitation.pk}:{key or uuid.uuid4()}")


def _owns(user: User, client: Client) -> bool:
    return Contact.objects.filter(user=user, client=client, role=Contact.Role.OWNER).exists()


def months_later(day: date, months: int) -> date:
    """The same day some months on; the last of the month where it has no such day."""
    years, month = divmod(day.month - 1 + months, 12)
    last = calendar.monthrange(day.year + years, month + 1)[1]
    return date(day.year + years, month + 1, min(day.day, last))
