"""The work: tickets, the offers that hand them out, and what is said and done on them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from aegir_support.models import StoredFile
from billing.models import Channel, Client, Server, Severity, Tier, contact_of
from members.access import Visitor, is_person
from members.models import Member, Representative, User

REOPENING_DAYS = (
    14  # a reopened ticket uses the same charge this long; after it a solved one closes (product.md, Tiers 5)
)


class TicketQuerySet(models.QuerySet["Ticket"]):
    def visible_to(self, user: Visitor) -> TicketQuerySet:
        """Tickets whose words this person may read (product.md, Who sees what)."""
        if not is_person(user):
            return self.none()
        if user.is_coordinator:
            return self
        if user.member is not None:
            return self._visible_to_member(user.member)
        contact = contact_of(user)
        if contact is None:
            return self.none()
        theirs = self.filter(client=contact.client)
        return theirs if contact.sees == contact.Sees.ALL else theirs.filter(requester=user)

    def _visible_to_member(self, member: Member) -> TicketQuerySet:
        if member.status == Member.Status.LEFT:
            return self.none()
        theirs = Offer.objects.filter(ticket=OuterRef("pk"), member=member).open_or_accepted()
        words = Q(Exists(theirs))
        if member.status == Member.Status.ACTIVE:
            words |= Q(status=Ticket.Status.OPEN_CALL)
        return self.filter(words)

    def assigned_to(self, member: Member) -> TicketQuerySet:
        return self.filter(assignee__member=member)

    def unassigned(self) -> TicketQuerySet:
        """Tickets that the queue still has to find somebody for."""
        return self.filter(status__in=Ticket.UNASSIGNED)

    def unsettled(self) -> TicketQuerySet:
        """Tickets that are neither solved nor closed."""
        return self.exclude(status__in=[Ticket.Status.SOLVED, Ticket.Status.CLOSED])

    def abandoned(self) -> TicketQuerySet:
        """Tickets whose assignee's member has left."""
        worked_on = [Ticket.Status.WORKING, Ticket.Status.WITH_CLIENT]
        return self.filter(status__in=worked_on, assignee__member__status=Member.Status.LEFT)

    def on_open_call(self) -> TicketQuerySet:
        return self.filter(status=Ticket.Status.OPEN_CALL)

    def waiting(self) -> TicketQuerySet:
        return self.filter(status=Ticket.Status.WAITING)

    def late(self, at: datetime) -> TicketQuerySet:
        """Tickets whose first response is overdue."""
        return self.unsettled().filter(first_response_at=None, first_response_by__lte=at)

    def due_for_open_call(self, at: datetime) -> TicketQuerySet:
        """Half the first-response time is gone and nobody has taken them."""
        return self.filter(status__in=[Ticket.Status.OFFERED, Ticket.Status.WAITING], open_call_by__lte=at)

    def solved_before(self, at: datetime) -> TicketQuerySet:
        return self.filter(status=Ticket.Status.SOLVED, solved_at__lte=at)

    def for_list(self) -> TicketQuerySet:
        """Everything a row of a ticket list shows, in one query, latest news first."""
        return self.select_related("client", "tier", "assignee__user", "assignee__member").order_by(
            "-news_at", "-number"
        )

    def locked(self, number: int) -> Ticket:
        """The ticket, its row locked until the transaction ends: the first lock of every action on it."""
        return self.select_for_update(of=("self",)).select_related("client__calendar", "tier").get(pk=number)


class Ticket(models.Model):
    """A client's case, from filing to closing. At every moment exactly one party is responsible for it (B14)."""

    class Status(models.TextChoices):
        OFFERED = "offered", _("Looking for a member")
        WAITING = "waiting", _("Waiting for a member")
        OPEN_CALL = "open_call", _("Open call")
        WORKING = "working", _("In progress")
        WITH_CLIENT = "with_client", _("Waiting for the client")
        SOLVED = "solved", _("Solved")
        CLOSED = "closed", _("Closed")

    class Verdict(models.TextChoices):
        IN_SCOPE = "in", _("In scope")
        OUT_OF_SCOPE = "out", _("Out of scope")
        DEFECT = "defect", _("Confirmed defect of the product")
        WISH = "wish", _("Wish")
        QUESTION = "question", _("Billing question")
        DUPLICATE = "duplicate", _("Duplicate")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    class Level(models.IntegerChoices):
        SELF_HELP = 0, _("Level 0 · self-help")
        DIAGNOSIS = 1, _("Level 1 · diagnosis")
        TROUBLESHOOTING = 2, _("Level 2 · troubleshooting")
        BUG_FIXING = 3, _("Level 3 · bug fixing")
        ARCHITECTURE = 4, _("Level 4 · re-architecture")

    UNASSIGNED = (Status.OFFERED, Status.WAITING, Status.OPEN_CALL)
    ASSIGNED = (Status.WORKING, Status.WITH_CLIENT, Status.SOLVED)

    number = models.BigAutoField(primary_key=True)
    client = models.ForeignKey(Client, models.PROTECT, related_name="tickets")
    requester = models.ForeignKey(User, models.PROTECT, related_name="requested_tickets")
    tier = models.ForeignKey(Tier, models.PROTECT, related_name="+")
    server = models.ForeignKey(Server, models.PROTECT, related_name="tickets", null=True, blank=True)
    subject = models.CharField(_("subject"), max_length=200)
    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity)
    level = models.PositiveSmallIntegerField(_("level"), choices=Level, default=Level.DIAGNOSIS)
    channel = models.CharField(_("channel"), max_length=12, choices=Channel)
    filing_key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)

    status = models.CharField(_("status"), max_length=12, choices=Status)
    assignee = models.ForeignKey(Representative, models.PROTECT, related_name="tickets", null=True, blank=True)
    round = models.PositiveIntegerField(default=1)
    waits_until = models.DateTimeField(null=True, blank=True)
    open_call_at = models.DateTimeField(null=True, blank=True)
    open_call_by = models.DateTimeField()
    verdict = models.CharField(_("verdict"), max_length=10, choices=Verdict, blank=True)

    filed_at = models.DateTimeField(default=timezone.now, editable=False)
    first_response_by = models.DateTimeField()
    first_response_at = models.DateTimeField(null=True, blank=True)
    news_at = models.DateTimeField(default=timezone.now, editable=False)
    solved_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = TicketQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        indexes = [
            models.Index(fields=["client", "-news_at", "-number"], name="ticket_by_client"),
            models.Index(fields=["assignee", "-news_at", "-number"], name="ticket_by_assignee"),
            models.Index(fields=["-news_at", "-number"], name="ticket_by_news"),
            models.Index(
                fields=["status", "open_call_by"],
                name="ticket_in_the_queue",
                condition=Q(status__in=["offered", "waiting", "open_call"]),
            ),
            models.Index(fields=["solved_at"], name="ticket_solved", condition=Q(status="solved")),
            models.Index(
                fields=["first_response_by"],
                name="ticket_awaiting_response",
                condition=Q(first_response_at=None) & ~Q(status="closed"),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="ticket_has_an_assignee_while_worked_on",
                condition=Q(status__in=["working", "with_client", "solved"], assignee__isnull=False)
                | Q(status__in=["offered", "waiting", "open_call"], assignee=None)
                | Q(status="closed"),
            ),
            models.CheckConstraint(
                name="ticket_waits_until_a_date",
                condition=Q(status="waiting", waits_until__isnull=False) | ~Q(status="waiting") & Q(waits_until=None),
            ),
            models.CheckConstraint(
                name="ticket_on_open_call_since",
                condition=Q(status="open_call", open_call_at__isnull=False)
                | ~Q(status="open_call") & Q(open_call_at=None),
            ),
            models.CheckConstraint(
                name="ticket_closed_at_a_time",
                condition=Q(status="closed", closed_at__isnull=False) | ~Q(status="closed") & Q(closed_at=None),
            ),
            models.CheckConstraint(
                name="ticket_ends_with_a_verdict",
                condition=~Q(status__in=["solved", "closed"]) | ~Q(verdict=""),
            ),
            models.CheckConstraint(name="ticket_severity_is_1_to_4", condition=Q(severity__gte=1, severity__lte=4)),
            models.CheckConstraint(name="ticket_level_is_0_to_4", condition=Q(level__lte=4)),
            models.CheckConstraint(name="ticket_has_a_subject", condition=~Q(subject="")),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.subject}"

    @property
    def charge_key(self) -> str:
        """The name under which billing knows this ticket."""
        return f"ticket:{self.number}"

    @property
    def is_settled(self) -> bool:
        return self.status in {self.Status.SOLVED, self.Status.CLOSED}

    @property
    def is_open_call(self) -> bool:
        return self.status == self.Status.OPEN_CALL

    @property
    def is_unassigned(self) -> bool:
        return self.status in self.UNASSIGNED

    @property
    def is_late(self) -> bool:
        """The first response is overdue."""
        return not self.is_settled and self.first_response_at is None and self.first_response_by <= timezone.now()

    def was_ever_taken(self) -> bool:
        """True once any member has accepted it; from then on it is not the client's to withdraw."""
        return self.offers.filter(outcome=Offer.Outcome.ACCEPTED).exists()

    def can_reopen(self, at: datetime) -> bool:
        """A solved ticket always; a closed one for two weeks, unless it was withdrawn."""
        if self.status == self.Status.SOLVED:
            return True
        return (
            self.closed_at is not None
            and self.verdict != self.Verdict.WITHDRAWN
            and at < self.closed_at + timedelta(days=REOPENING_DAYS)
        )


class OfferWindow(models.Model):
    """How long a member may think about an offer, by severity (B22)."""

    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity, unique=True)
    minutes = models.PositiveIntegerField(_("minutes to answer"))

    class Meta:
        ordering = ["severity"]
        constraints = [
            models.CheckConstraint(
                name="window_leaves_ten_minutes",
                condition=Q(minutes__gte=10),
                violation_error_message=_("A member gets at least ten minutes to answer."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_severity_display()}: {self.minutes} min"


class OfferQuerySet(models.QuerySet["Offer"]):
    def open(self) -> OfferQuerySet:
        return self.filter(outcome=Offer.Outcome.OPEN)

    def overdue(self, at: datetime) -> OfferQuerySet:
        return self.open().filter(answer_by__lte=at)

    def open_or_accepted(self) -> OfferQuerySet:
        return self.filter(outcome__in=[Offer.Outcome.OPEN, Offer.Outcome.ACCEPTED])

    def by_turn(self) -> OfferQuerySet:
        """Offers that used the member's turn; hand-overs, reopenings and claims are counted apart."""
        return self.filter(kind=Offer.Kind.TURN)

    def settled_in(self, ticket: Ticket) -> OfferQuerySet:
        """Answers of this round that keep a member from being asked again in it."""
        return self.filter(ticket=ticket, round=ticket.round).exclude(
            outcome__in=[Offer.Outcome.OPEN, Offer.Outcome.WITHDRAWN]
        )

    def visible_to(self, user: Visitor) -> OfferQuerySet:
        """Offers to the member this person acts for, as long as it is one."""
        if not is_person(user) or user.member is None or user.member.status == Member.Status.LEFT:
            return self.none()
        return self.filter(member=user.member)

    def orphaned(self) -> OfferQuerySet:
        """Open offers to members who have been paused or have left since."""
        return self.open().exclude(member__status=Member.Status.ACTIVE)

    def to_answer(self, member: Member, at: datetime) -> OfferQuerySet:
        """What waits for this member's answer, the soonest end first."""
        return self.open().filter(member=member, answer_by__gt=at).with_ticket().order_by("answer_by")

    def with_ticket(self) -> OfferQuerySet:
        """Everything the picture of an offer shows, in one query; `opening` is the client's first message as HTML."""
        first = Message.objects.replies().filter(ticket=OuterRef("ticket")).order_by("at", "pk")
        return self.select_related(
            "ticket__client", "ticket__tier", "ticket__server__installation", "ticket__assignee__user", "member"
        ).annotate(opening=Subquery(first.values("html")[:1]))


class Offer(models.Model):
    """A ticket put to one member, who accepts it, refuses it, or lets it time out (B27)."""

    class Kind(models.TextChoices):
        TURN = "turn", _("by turn")
        REOPENED = "reopened", _("reopened, to its last assignee")
        HAND_OVER = "hand_over", _("hand-over")
        CLAIM = "claim", _("claimed from the open call")

    class Outcome(models.TextChoices):
        OPEN = "open", _("open")
        ACCEPTED = "accepted", _("accepted")
        REFUSED = "refused", _("refused")
        EXPIRED = "expired", _("expired")
        WITHDRAWN = "withdrawn", _("withdrawn")

    ticket = models.ForeignKey(Ticket, models.PROTECT, related_name="offers")
    member = models.ForeignKey(Member, models.PROTECT, related_name="offers")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.TURN)
    round = models.PositiveIntegerField(default=1)
    turn_was = models.BigIntegerField(null=True, blank=True)
    turn_now = models.BigIntegerField(null=True, blank=True)
    offered_at = models.DateTimeField(default=timezone.now)
    answer_by = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN)
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.ForeignKey(Representative, models.PROTECT, related_name="answers", null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)

    objects = OfferQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["answer_by"], name="offer_open_by_answer", condition=Q(outcome="open")),
            models.Index(fields=["member", "-offered_at"], name="offer_by_member"),
        ]
        constraints = [
            models.UniqueConstraint(
                name="offer_one_open_per_ticket",
                fields=["ticket"],
                condition=Q(outcome="open"),
                violation_error_message=_("This ticket is already on offer."),
            ),
            models.CheckConstraint(
                name="offer_is_open_until_answered",
                condition=Q(outcome="open", answered_at=None) | ~Q(outcome="open") & Q(answered_at__isnull=False),
            ),
            models.CheckConstraint(
                name="offer_is_accepted_by_somebody",
                condition=~Q(outcome="accepted") | Q(answered_by__isnull=False),
            ),
            models.CheckConstraint(
                name="offer_by_turn_remembers_both_turns",
                condition=Q(kind="turn", turn_was__isnull=False, turn_now__isnull=False)
                | ~Q(kind="turn") & Q(turn_was=None, turn_now=None),
            ),
            models.CheckConstraint(name="offer_can_be_answered", condition=Q(answer_by__gte=F("offered_at"))),
            models.CheckConstraint(
                name="offer_outcome_is_known",
                condition=Q(outcome__in=["open", "accepted", "refused", "expired", "withdrawn"]),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.ticket_id} → {self.member}"

    @property
    def can_be_answered(self) -> bool:
        """Open, and its time is not over."""
        return self.outcome == self.Outcome.OPEN and timezone.now() < self.answer_by


class MessageQuerySet(models.QuerySet["Message"]):
    def replies(self) -> MessageQuerySet:
        """What the client may read."""
        return self.filter(kind=Message.Kind.REPLY)

    def visible_to(self, user: Visitor) -> MessageQuerySet:
        """Words of tickets this person may read; notes for members only."""
        if not is_person(user):
            return self.none()
        theirs = self.filter(ticket__in=Ticket.objects.visible_to(user))
        return theirs if user.member is not None else theirs.replies()


class Message(models.Model):
    """Words on a ticket. A reply is read by the client; a note only by members."""

    class Kind(models.TextChoices):
        REPLY = "reply", _("reply")
        NOTE = "note", _("note")

    ticket = models.ForeignKey(Ticket, models.PROTECT, related_name="messages")
    author = models.ForeignKey(User, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=5, choices=Kind)
    from_client = models.BooleanField()
    body = models.TextField()
    html = models.TextField(editable=False)
    key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["ticket", "at"], name="message_by_ticket")]
        constraints = [
            models.CheckConstraint(
                name="message_note_is_never_from_a_client", condition=Q(kind="reply") | Q(from_client=False)
            ),
            models.CheckConstraint(name="message_kind_is_known", condition=Q(kind__in=["reply", "note"])),
            models.CheckConstraint(name="message_says_something", condition=~Q(body="")),
        ]

    def __str__(self) -> str:
        return f"#{self.ticket_id} {self.author}: {self.body[:40]}"


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def visible_to(self, user: Visitor) -> AttachmentQuerySet:
        """Files of messages this person may read; those of notes are for members only."""
        return self.filter(message__in=Message.objects.visible_to(user))


class Attachment(models.Model):
    """A file that came with a message. Whoever may read the message may read the file."""

    message = models.ForeignKey(Message, models.PROTECT, related_name="attachments")
    file = models.ForeignKey(StoredFile, models.PROTECT, related_name="attachments")
    name = models.CharField(max_length=150)
    position = models.PositiveSmallIntegerField()

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(name="attachment_one_per_place", fields=["message", "position"]),
            models.CheckConstraint(name="attachment_has_a_name", condition=~Q(name="")),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """Whether the file may be read: clean, still being checked, or withheld."""
        return self.file.state_since(self.message.at)

    @property
    def is_readable(self) -> bool:
        return self.state == StoredFile.State.CLEAN

    @property
    def is_withheld(self) -> bool:
        return self.state == StoredFile.State.INFECTED

    @property
    def is_too_large_to_show(self) -> bool:
        """A picture with more pixels than we draw; it can be saved."""
        return self.file.media_type.startswith("image/") and not self.file.is_picture

    @property
    def kind(self) -> str:
        """What the bytes say it is, in a word."""
        main, _slash, exact = self.file.media_type.partition("/")
        if main in {"image", "audio", "video", "text"}:
            return str(_KINDS[main])
        return str(_KINDS["pdf"] if exact == "pdf" else _KINDS["archive"] if exact in _ARCHIVES else _KINDS["file"])


_KINDS = {
    "image": _("Picture"),
    "audio": _("Sound"),
    "video": _("Video"),
    "text": _("Text"),
    "pdf": _("PDF"),
    "archive": _("Archive"),
    "file": _("File"),
}
_ARCHIVES = {"zip", "gzip", "x-gzip", "x-tar", "x-xz", "x-bzip2", "x-7z-compressed", "x-rar-compressed", "zstd"}


class EventQuerySet(models.QuerySet["Event"]):
    def visible_to(self, user: Visitor) -> EventQuerySet:
        """What happened on the tickets this person may read; a client does not see notes being written."""
        if not is_person(user):
            return self.none()
        theirs = self.filter(ticket__in=Ticket.objects.visible_to(user))
        return theirs if user.member is not None else theirs.exclude(kind__in=Event.FOR_MEMBERS)


class Event(models.Model):
    """One thing that happened to a ticket. Rows are added, never changed (B14: no gap in the log)."""

    class Kind(models.TextChoices):
        FILED = "filed", _("Filed")
        OFFERED = "offered", _("Offered to the next member")
        REFUSED = "refused", _("Passed on")
        EXPIRED = "expired", _("Not answered in time, passed on")
        ASKED_AGAIN = "asked_again", _("Offered to its last assignee")
        OFFER_WITHDRAWN = "offer_withdrawn", _("Offer withdrawn")
        CALL_OPENED = "call_opened", _("Open to every member")
        WAITING = "waiting", _("Waiting until a member is available")
        ACCEPTED = "accepted", _("Accepted")
        CLAIMED = "claimed", _("Taken from the open call")
        HAND_OVER_OFFERED = "hand_over_offered", _("Hand-over offered")
        HAND_OVER_REFUSED = "hand_over_refused", _("Hand-over refused")
        HAND_OVER_WITHDRAWN = "hand_over_withdrawn", _("Hand-over withdrawn")
        HANDED_OVER = "handed_over", _("Handed over")
        GIVEN_BACK = "given_back", _("Given back to the queue")
        FIRST_RESPONSE = "first_response", _("First response")
        MEMBER_REPLIED = "member_replied", _("Reply sent")
        CLIENT_REPLIED = "client_replied", _("Client replied")
        NOTED = "noted", _("Note for members added")
        WITH_CLIENT = "with_client", _("Waiting for the client")
        RESUMED = "resumed", _("Waiting for us again")
        JUDGED = "judged", _("Scope decided")
        SOLVED = "solved", _("Solved")
        CONFIRMED = "confirmed", _("Confirmed by the client")
        CLOSED = "closed", _("Closed after two weeks")
        REOPENED = "reopened", _("Reopened")
        TICKET_WITHDRAWN = "withdrawn", _("Withdrawn by the client")

    FOR_MEMBERS = (Kind.NOTED, Kind.HAND_OVER_OFFERED, Kind.HAND_OVER_REFUSED, Kind.HAND_OVER_WITHDRAWN)

    ticket = models.ForeignKey(Ticket, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=20, choices=Kind)
    actor = models.ForeignKey(User, models.PROTECT, related_name="+", null=True, blank=True)
    member = models.ForeignKey(Member, models.PROTECT, related_name="+", null=True, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=timezone.now, editable=False)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["ticket", "at"], name="event_by_ticket")]

    def __str__(self) -> str:
        return f"#{self.ticket_id} {self.get_kind_display()}"
