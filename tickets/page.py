"""What the page of a ticket shows to whom: the reader's side decides what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_stubs_ext import StrPromise

from billing.entitlements import Entitlement, entitlement
from billing.models import Charge, Contact, Promise, contact_of
from members.access import coordinator_on_duty
from members.models import User

from . import sla
from .forms import HandOverForm, JudgeForm, MessageForm, RefuseForm, ReplyForm
from .models import REOPENING_DAYS, Event, Message, Offer, Ticket
from .steps import is_assignee

# Why a ticket was released, as the client reads it.
RELEASED_BECAUSE: dict[str, StrPromise] = {
    Ticket.Verdict.OUT_OF_SCOPE: gettext_lazy("it is outside what your tier covers"),
    Ticket.Verdict.DEFECT: gettext_lazy("it is a defect of the product"),
    Ticket.Verdict.WISH: gettext_lazy("it is a wish for something new"),
    Ticket.Verdict.QUESTION: gettext_lazy("it is a question about billing"),
    Ticket.Verdict.DUPLICATE: gettext_lazy("it is a duplicate of another ticket"),
    Ticket.Verdict.WITHDRAWN: gettext_lazy("it was withdrawn"),
}
# Whoever answers for the ticket, or speaks on it, is known to the client; whoever was only asked is not (queue 6).
NAMED_TO_CLIENTS: set[str] = {
    Event.Kind.FILED,
    Event.Kind.ACCEPTED,
    Event.Kind.CLAIMED,
    Event.Kind.HANDED_OVER,
    Event.Kind.FIRST_RESPONSE,
    Event.Kind.MEMBER_REPLIED,
    Event.Kind.CLIENT_REPLIED,
    Event.Kind.SOLVED,
    Event.Kind.CONFIRMED,
    Event.Kind.REOPENED,
    Event.Kind.TICKET_WITHDRAWN,
}


class Happening(NamedTuple):
    """One line of "what happened": when, what, and who, where the reader may know."""

    at: datetime
    what: str
    who: str


@dataclass(frozen=True)
class TicketPage:
    """A ticket as one person sees it."""

    ticket: Ticket
    user: User
    contact: Contact | None
    now: datetime

    @classmethod
    def of(cls, ticket: Ticket, user: User) -> TicketPage:
        contact = contact_of(user)
        theirs = contact if contact and contact.client_id == ticket.client_id else None
        return cls(ticket, user, theirs, timezone.now())

    # Who reads

    @property
    def is_client(self) -> bool:
        return self.contact is not None

    @property
    def is_assignee(self) -> bool:
        return is_assignee(self.ticket, self.user)

    @property
    def acts_for_client(self) -> bool:
        return self.contact is not None and self.contact.may_file

    @property
    def writes(self) -> bool:
        """They are one of the two sides of the conversation."""
        return self.acts_for_client or self.is_assignee

    @property
    def may_note(self) -> bool:
        return self.user.member is not None

    # What is true now

    @cached_property
    def messages(self) -> list[Message]:
        said = Message.objects.visible_to(self.user).filter(ticket=self.ticket)
        return list(said.select_related("author").prefetch_related("attachments__file"))

    @cached_property
    def events(self) -> list[Event]:
        events = Event.objects.visible_to(self.user).filter(ticket=self.ticket)
        return list(events.select_related("actor", "member"))

    @property
    def happened(self) -> list[Happening]:
        """Every event in words. A client reads who answers for the ticket, never who was asked."""
        return [Happening(event.at, self._what(event), self._who(event)) for event in self.events]

    @staticmethod
    def _what(event: Event) -> str:
        what = event.get_kind_display()
        return f"{what}: {event.detail}" if event.detail else what

    def _who(self, event: Event) -> str:
        if self.is_client:
            return event.actor.name if event.actor and event.kind in NAMED_TO_CLIENTS else ""
        if event.kind == Event.Kind.HAND_OVER_OFFERED:
            return f"{event.actor} → {event.member}"
        named = [event.actor and event.actor.name, event.member and event.member.name]
        return ", ".join(dict.fromkeys(name for name in named if name))

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
            return self.ticket.assignee.user.name if self.is_client else self.ticket.assignee.for_member
        if self.ticket.status == Ticket.Status.CLOSED or self.is_client:
            return str(settings.PROJECT_NAME)
        coordinator = coordinator_on_duty()
        return _("%(name)s, coordinator on duty") % {"name": coordinator} if coordinator else str(settings.PROJECT_NAME)

    @cached_property
    def promise(self) -> Promise | None:
        return sla.promises_by_severity(self.ticket.tier).get(self.ticket.severity)

    @property
    def answered_at_once(self) -> bool:
        """The first response came within a minute, which no count of minutes says well."""
        answered = self.ticket.first_response_at
        return answered is not None and answered - self.ticket.filed_at < timedelta(minutes=1)

    @cached_property
    def charge(self) -> Charge | None:
        return Charge.objects.filter(key=self.ticket.charge_key).first()

    @property
    def counts(self) -> str:
        """What the ticket does to the allowance, with the reason (Tiers 5)."""
        if self.charge is None:
            return ""
        match self.charge.state:
            case Charge.State.HELD:
                return _("One ticket is held until we know whether it counts.")
            case Charge.State.CHARGED:
                return _("Charged: it counts as one ticket.")
            case _released:
                because = RELEASED_BECAUSE.get(self.charge.reason, gettext_lazy("that was decided"))
                return _("Released: it does not count, because %(because)s.") % {"because": because}

    @property
    def reader(self) -> str:
        """Who reads a reply written here."""
        return self.responsible if self.is_client else self.ticket.client.name

    @property
    def reopens_until(self) -> datetime | None:
        """The end of the two weeks in which a closed ticket may be reopened."""
        return self._two_weeks_after(self.ticket.closed_at)

    @property
    def closes_at(self) -> datetime | None:
        """When a solved ticket is closed without an answer."""
        return self._two_weeks_after(self.ticket.solved_at)

    @staticmethod
    def _two_weeks_after(moment: datetime | None) -> datetime | None:
        return moment + timedelta(days=REOPENING_DAYS) if moment else None

    @cached_property
    def entitlement(self) -> Entitlement:
        return entitlement(self.ticket.client)

    # What they may do

    @property
    def may_reply(self) -> bool:
        return self.writes and not self.ticket.is_settled

    @property
    def may_work(self) -> bool:
        return self.is_assignee and not self.ticket.is_settled

    @property
    def gives_back(self) -> bool:
        """The assignee drops the ticket; a coordinator may, for an assignee who cannot."""
        return self.is_assignee or self.user.is_coordinator

    @property
    def may_give_back(self) -> bool:
        return self.gives_back and self.ticket.status in {Ticket.Status.WORKING, Ticket.Status.WITH_CLIENT}

    @property
    def may_judge(self) -> bool:
        return self.is_assignee and self.ticket.status != Ticket.Status.CLOSED

    @property
    def may_confirm(self) -> bool:
        return self.acts_for_client and self.ticket.status == Ticket.Status.SOLVED

    @property
    def may_reopen(self) -> bool:
        return self.acts_for_client and self.ticket.can_reopen(self.now)

    @property
    def may_withdraw(self) -> bool:
        return self.acts_for_client and self.ticket.is_unassigned and not self.ticket.was_ever_taken()

    @property
    def may_claim(self) -> bool:
        return self.ticket.is_open_call and self.user.is_active_member

    def forms(self, bound: dict[str, forms.Form]) -> dict[str, forms.Form | None]:
        """The forms this reader gets, each fresh unless it comes back with errors; None where they get none."""
        tier = self.ticket.tier
        fresh: dict[str, forms.Form | None] = {
            "reply_form": ReplyForm(tier=tier) if self.may_reply else None,
            "note_form": MessageForm(tier=tier) if self.may_note else None,
            "solve_form": MessageForm(tier=tier) if self.may_work else None,
            "reopen_form": MessageForm(tier=tier) if self.may_reopen else None,
            "judge_form": JudgeForm(initial={"verdict": self.ticket.verdict}) if self.may_judge else None,
            "refuse_form": RefuseForm() if self.offer else None,
            "hand_over_form": self._hand_over_form(),
        }
        shown = {**fresh, **bound}
        for name, form in shown.items():
            if form is not None:
                # Several forms share the page and their fields' names, so each gets its own ids.
                form.auto_id = f"{name}_%s"
        return shown

    def _hand_over_form(self) -> HandOverForm | None:
        if not self.may_work or self.user.member is None or self.hand_over_offer:
            return None
        return HandOverForm(besides=self.user.member)
