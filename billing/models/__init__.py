"""What is sold and what a client has, one file a noun. The rest of the project imports from here."""

from .catalogue import Channel, Pack, Price, PriceQuerySet, Promise, Severity, Tier, TierQuerySet
from .clients import Client, Contact, Installation, Invitation, InvitationQuerySet, Server, ServerQuerySet, contact_of
from .grants import (
    Charge,
    ChargeQuerySet,
    DateRange,
    Grant,
    GrantQuerySet,
    Subscription,
    SubscriptionQuerySet,
)

__all__ = [
    "Channel",
    "Charge",
    "ChargeQuerySet",
    "Client",
    "Contact",
    "DateRange",
    "Grant",
    "GrantQuerySet",
    "Installation",
    "Invitation",
    "InvitationQuerySet",
    "Pack",
    "Price",
    "PriceQuerySet",
    "Promise",
    "Server",
    "ServerQuerySet",
    "Severity",
    "Subscription",
    "SubscriptionQuerySet",
    "Tier",
    "TierQuerySet",
    "contact_of",
]
