"""What the page of a ticket shows to whom: the reader's side decides what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from billing.entitlements import Entitlement, entitlement
from billing.models import Charge, Contact, Promise, contact_of
from members.access import coordinator_on_duty
from members.models import User

from .forms import HandOverForm, JudgeForm, MessageForm, RefuseForm, ReplyForm
from .models import Event, Message, Offer, Ticket
from .steps import is_assignee


@dataclass(frozen=True)
class TicketPage:
    """A ticket as one person sees it."""

    ticket: Ticket
    user: User
    contact: Contact | None
    now: datetime

    @classmethod
    def of(cls, ticket: Ticket, user: User) -> TicketPage:
        return cls(ticket, user, contact_of(user), timezone.now())

    # Who reads

    @property
    def is_client(self) -> bool:
        return self.contact is not None

    @property
    def is_assignee(self) -> bool:
        return is_assignee(self.ticket, self.user)

    @property
    def may_note(self) -> bool:
        return self.user.member is not None

    # What is true now

    @cached_property
    def messages(self) -> list[Message]:
        return list(Message.objects.visible_to(self.user).filter(ticket=self.ticket).select_related("author"))

    @cached_property
    def events(self) -> list[Event]:
        events = Event.objects.visible_to(self.user).filter(ticket=self.ticket)
        return list(events.select_related("actor", "member"))

    @cached_property
    def offer(self) -> Offer | None:
        """The open offer of this ticket to the reader's own member."""
        if self.user.member is None:
            return None
        offers = self.ticket.offers.open().filter(member=self.user.member, answer_by__gt=self.now)
        return offers.with_ticket().first()

    @cached_property
    def hand_over_offer(self) -> Offer | None:
        """A hand-over that waits for somebody's answer, for the assignee to see."""
        offers = self.ticket.offers.open().filter(kind=Offer.Kind.HAND_OVER)
        return offers.select_related("member").first() if self.is_assignee else None

    @cached_property
    def responsible(self) -> str:
        """The one party responsible now (B14). Before acceptance a client reads the project's name (B13)."""
        if self.ticket.assignee:
            return self.ticket.assignee.user.name
        if self.ticket.status == Ticket.Status.CLOSED or self.is_client:
            return str(settings.PROJECT_NAME)
        coordinator = coordinator_on_duty()
        return _("%(name)s, coordinator on duty") % {"name": coordinator} if coordinator else str(settings.PROJECT_NAME)

    @cached_property
    def promise(self) -> Promise | None:
        return self.ticket.tier.promises.filter(severity=self.ticket.severity).first()

    @cached_property
    def charge(self) -> Charge | None:
        return Charge.objects.filter(key=self.ticket.charge_key).first()

    @cached_property
    def entitlement(self) -> Entitlement:
        return entitlement(self.ticket.client)

    # What they may do

    @property
    def may_reply(self) -> bool:
        writes = self.contact.may_file if self.contact else self.is_assignee
        return writes and not self.ticket.is_settled

    @property
    def may_work(self) -> bool:
        return self.is_assignee and not self.ticket.is_settled

    @property
    def may_judge(self) -> bool:
        return self.is_assignee and self.ticket.status != Ticket.Status.CLOSED

    @property
    def may_confirm(self) -> bool:
        return self._client_acts and self.ticket.status == Ticket.Status.SOLVED

    @property
    def may_reopen(self) -> bool:
        return self._client_acts and self.ticket.can_reopen(self.now)

    @property
    def may_withdraw(self) -> bool:
        return self._client_acts and self.ticket.is_unassigned

    @property
    def may_claim(self) -> bool:
        return self.ticket.is_open_call and self.user.is_active_member

    @property
    def _client_acts(self) -> bool:
        return self.contact is not None and self.contact.may_file

    def forms(self, bound: dict[str, forms.Form]) -> dict[str, forms.Form | None]:
        """The forms this reader gets, each fresh unless it comes back with errors; None where they get none."""
        fresh: dict[str, forms.Form | None] = {
            "reply_form": ReplyForm() if self.may_reply else None,
            "note_form": MessageForm() if self.may_note else None,
            "solve_form": MessageForm() if self.may_work else None,
            "reopen_form": MessageForm() if self.may_reopen else None,
            "judge_form": JudgeForm(initial={"verdict": self.ticket.verdict}) if self.may_judge else None,
            "refuse_form": RefuseForm() if self.offer else None,
            "hand_over_form": self._hand_over_form(),
        }
        return {**fresh, **bound}

    def _hand_over_form(self) -> HandOverForm | None:
        if not self.may_work or self.user.member is None or self.hand_over_offer:
            return None
        return HandOverForm(besides=self.user.member)
