"""What can happen to people and their places. Each action is one transaction."""

from __future__ import annotations

import hashlib
import uuid
from datetime import date, datetime

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse

from aegir_support import mail

from . import rotation
from .models import Member, MemberQuerySet, Queue, Representative, User


class AlreadyHere(Exception):
    """Somebody already uses this e-mail address."""


class NotAheadOfUs(Exception):
    """A first day back lies in the future."""


@transaction.atomic
def invite(email: str, name: str, *, by: str = "", time_zone: str = "UTC") -> User:
    """Make an account that opens with the link in the mail, where its owner chooses a password.

    `by` is who the mail says it comes from, such as "Gita Rao, Riverbank Library". Raises AlreadyHere.
    """
    if is_taken(email):
        raise AlreadyHere
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, name=name, time_zone=time_zone)
    except IntegrityError as error:  # the same invitation was sent at the same moment
        raise AlreadyHere from error
    send_invitation(user, by=by)
    return user


def is_taken(email: str, *, besides: User | None = None) -> bool:
    """Somebody else logs in with this address, or has proved that it is theirs as well."""
    people = User.objects.filter(email=email.lower())
    addresses = EmailAddress.objects.filter(email=email.lower(), verified=True)
    if besides:
        people, addresses = people.exclude(pk=besides.pk), addresses.exclude(user=besides)
    return people.exists() or addresses.exists()


@transaction.atomic
def keep_address(user: User) -> None:
    """Bring the address that allauth knows into line with the person's own, unproved where it is new."""
    # A former address is deleted rather than changed: a link sent to it would confirm what its row then says.
    EmailAddress.objects.filter(user=user, primary=True).exclude(email=user.email).delete()
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"primary": True})


def prove_address(user: User) -> None:
    """A link that was mailed to this person has been used. Of several addresses nobody knows which it reached."""
    addresses = list(EmailAddress.objects.filter(user=user))
    if len(addresses) == 1 and addresses[0].can_set_verified():
        EmailAddress.objects.filter(pk=addresses[0].pk).update(verified=True, primary=True)


@transaction.atomic
def send_invitation(user: User, *, by: str = "", key: uuid.UUID | None = None) -> None:
    """Mail a link that proves the address and sets the password; it works once and for a few days.

    `key` is that of the form that asks for it: the same again sends nothing.
    """
    keep_address(user)
    token = default_token_generator.make_token(user)
    link = reverse("account_reset_password_from_key", kwargs={"uidb36": user_pk_to_url_str(user), "key": token})
    # The key is read by whoever watches the outbox, and the token opens the account.
    once = key or hashlib.sha256(token.encode()).hexdigest()[:16]
    mail.send(
        "invitation",
        user.email,
        {"person": user, "by": by, "link": settings.SITE_URL + link},
        key=f"invitation:{user.pk}:{once}",
    )


@transaction.atomic
def admit(member: Member) -> None:
    """Give an active member their seat at the end of the queue (B26). Again changes nothing."""
    rotation.take_seat(Queue.SUPPORT, member.pk)


@transaction.atomic
def join_at_the_end(member: Member) -> None:
    """Admit a joiner, or send someone back from a pause to the end (The queue 1)."""
    newcomer = not member.seats.exists()
    admit(member)
    if not newcomer:
        for seat in member.seats.select_related("queue"):
            rotation.send_to_end(seat)


@transaction.atomic
def represent(user: User, member: Member) -> Representative:
    """Let this person act for the member (B16)."""
    return Representative.objects.create(user=user, member=member)


@transaction.atomic
def go_away(member: Member, until: date) -> None:
    """Leave the rotation until the first day back, where they are; open tickets stay. Raises NotAheadOfUs."""
    if until <= member.today:
        raise NotAheadOfUs
    Member.objects.filter(pk=member.pk).update(away_until=until)


def come_back(member: Member) -> None:
    """Take part again, at the end of the queue (The queue 1). Again changes nothing."""
    _take_part_again(member, Member.objects.away())


def welcome_back(member: Member, now: datetime) -> None:
    """Seat a member whose leave has ended; a leave begun a moment ago is not ended for one that is over."""
    if member.back_at and member.back_at <= now:
        _take_part_again(member, Member.objects.filter(away_until=member.away_until))


@transaction.atomic
def _take_part_again(member: Member, while_away: MemberQuerySet) -> None:
    # The queues first, then the member: two who come back at once would otherwise wait for each other.
    list(Queue.objects.filter(seats__member=member).order_by("pk").select_for_update(of=("self",)))
    if while_away.filter(pk=member.pk).update(away_until=None):
        for seat in member.seats.select_related("queue"):
            rotation.send_to_end(seat)
