"""What a client may use now: a function of subscription, dates, grants and channel alone (Tiers 4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from aegir_support import calendars

from .models import Channel, Charge, Client, Grant, GrantQuerySet, Subscription


class NothingLeft(Exception):
    """The client has no ticket left to use."""


class ChannelNotIncluded(Exception):
    """The client's tier does not have this channel."""


@dataclass(frozen=True)
class Entitlement:
    """What a client has on a day: the subscription in force and the grants that can still be used."""

    subscription: Subscription | None
    grants: list[Grant]
    on: date

    @property
    def channels(self) -> list[str]:
        return self.subscription.tier.channels if self.subscription else []

    @property
    def is_unlimited(self) -> bool:
        return any(grant.tickets is None for grant in self.grants)

    @property
    def left(self) -> int | None:
        """Tickets left; None means unlimited."""
        return None if self.is_unlimited else sum(grant.left or 0 for grant in self.grants)

    @property
    def total(self) -> int | None:
        """Tickets there were; None means unlimited."""
        return None if self.is_unlimited else sum(grant.tickets or 0 for grant in self.grants)

    @property
    def used(self) -> int:
        return sum(grant.used for grant in self.grants)

    @property
    def until(self) -> date | None:
        """The day on which what is left ends: a pack needs a live tier, so the term's end ends it too."""
        return self.subscription.ends_on if self.subscription else None

    @property
    def may_file(self) -> bool:
        return Channel.PORTAL in self.channels and self.left != 0

    @property
    def sentence(self) -> str:
        """What is left, in words: "31 of 40 tickets left"."""
        if not self.subscription:
            return _("No subscription in force")
        if self.is_unlimited:
            return _("Unlimited tickets, fair use")
        return ngettext("%(left)d of %(total)d ticket left", "%(left)d of %(total)d tickets left", self.total or 0) % {
            "left": self.left,
            "total": self.total,
        }


def entitlement(client: Client, on: date | None = None) -> Entitlement:
    """What the client has on that day, today unless said otherwise. Two queries."""
    on = on or calendars.today()
    subscription = client.subscriptions.in_force(on).select_related("tier").first()
    return Entitlement(subscription, list(_usable(client, subscription, on)), on)


@transaction.atomic
def hold(client: Client, key: str, channel: str) -> Charge:
    """Hold one ticket of the allowance for the work named by `key`; the same key keeps what it holds.

    Raises NothingLeft and ChannelNotIncluded. Two people filing at once can never hold the same last ticket: the
    client's grants are locked by id, and `grant_never_overdrawn` is the last wall.
    """
    on = calendars.today()
    subscription = client.subscriptions.in_force(on).select_related("tier").first()
    if not subscription:
        raise NothingLeft
    if channel not in subscription.tier.channels:
        raise ChannelNotIncluded
    _lock_grants(client)
    charge = Charge.objects.filter(key=key).first()
    if charge and charge.state != Charge.State.RELEASED:
        return charge
    grant = _usable(client, subscription, on).with_something_left().first()
    if not grant:
        raise NothingLeft
    charge, _created = Charge.objects.update_or_create(
        key=key, defaults={"grant": grant, "state": Charge.State.HELD, "reason": "", "decided_at": None}
    )
    return charge


@transaction.atomic
def charge(client: Client, key: str) -> None:
    """The work is in scope: it uses its ticket. After a release a ticket is taken again. Raises NothingLeft."""
    _lock_grants(client)
    held = Charge.objects.get(key=key)
    if held.state == Charge.State.CHARGED:
        return
    if held.state == Charge.State.RELEASED and not _has_room(held.grant):
        held.grant = _another_grant(client)
    _decide(held, Charge.State.CHARGED)


@transaction.atomic
def release(client: Client, key: str, reason: str) -> None:
    """The work does not count: its ticket goes back to the allowance, with the reason shown to the client."""
    _lock_grants(client)
    held = Charge.objects.filter(key=key).first()
    if held:
        _decide(held, Charge.State.RELEASED, reason)


def _decide(held: Charge, state: str, reason: str = "") -> None:
    held.state, held.reason, held.decided_at = state, reason, timezone.now()
    held.save(update_fields=["grant", "state", "reason", "decided_at"])


def _usable(client: Client, subscription: Subscription | None, on: date) -> GrantQuerySet:
    # Packs live only beside a live tier; so does everything else we grant.
    if not subscription:
        return Grant.objects.none()
    return Grant.objects.filter(client=client).live(on).in_order_of_use()


def _lock_grants(client: Client) -> None:
    # Lock order: ticket, grants by id, queue, seats, ledger.
    list(Grant.objects.filter(client=client).order_by("pk").select_for_update().values_list("pk"))


def _has_room(grant: Grant) -> bool:
    grant.refresh_from_db(fields=["used"])
    return grant.left is None or grant.left > 0


def _another_grant(client: Client) -> Grant:
    on = calendars.today()
    subscription = client.subscriptions.in_force(on).first()
    grant = _usable(client, subscription, on).with_something_left().first()
    if not grant:
        raise NothingLeft
    return grant
