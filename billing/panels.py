"""What billing adds to the navigation and to people's homes."""

from __future__ import annotations

from django.utils.translation import gettext as _

from aegir_support import calendars
from members.home import Facts
from members.models import User

from .entitlements import entitlement
from .models import Charge, Subscription, contact_of


def is_contact(user: User) -> bool:
    return contact_of(user) is not None


def client_name(user: User) -> str:
    contact = contact_of(user)
    return contact.client.name if contact else ""


def keeps_books(user: User) -> bool:
    return user.is_bookkeeper


def allowance(user: User) -> Facts | None:
    """What is left, for a client's people."""
    contact = contact_of(user)
    return {"entitlement": entitlement(contact.client), "client": contact.client} if contact else None


def books(user: User) -> Facts | None:
    """The bookkeeper's first look: terms in force, and what tickets used."""
    if not user.is_bookkeeper:
        return None
    terms = Subscription.objects.in_force(calendars.today()).count()
    return {**Charge.objects.counts(), "terms": terms, "heading": _("The books at a glance")}
