"""Who we are: people who log in, the cooperative's members, and their places in the queue."""

from __future__ import annotations

import zoneinfo
from datetime import date, datetime, time
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from aegir_support import calendars


def validate_time_zone(value: str) -> None:
    """Raise ValidationError unless `value` is an IANA name such as Europe/Amsterdam."""
    if value not in zoneinfo.available_timezones():
        raise ValidationError(_("%(value)s is not a time zone."), params={"value": value})


def time_zone_field() -> models.CharField[str, str]:
    return models.CharField(_("time zone"), max_length=64, default="UTC", validators=[validate_time_zone])


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **facts: Any) -> User:
        """Make a person who logs in with their e-mail address; without a password they cannot yet."""
        user = self.model(email=self.normalize_email(email).lower(), **facts)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **facts: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **facts)

    def with_roles(self) -> models.QuerySet[User]:
        """Users together with the member they act for, in one query."""
        return self.select_related("representative__member")


class User(AbstractBaseUser, PermissionsMixin):
    """A person with a login. What they may do follows from what they are: representative, contact, duty, staff."""

    email = models.EmailField(
        _("e-mail address"),
        unique=True,
        error_messages={"unique": _("Somebody already uses this e-mail address.")},
    )
    name = models.CharField(_("name"), max_length=120)
    time_zone = time_zone_field()
    is_staff = models.BooleanField(_("may enter the admin"), default=False)
    is_active = models.BooleanField(_("may log in"), default=True)
    date_joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)
    # Triggers raise it with every change of password, role or second factor; what carries the former one is logged out.
    session_epoch = models.BigIntegerField(default=0, db_default=0, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects = UserManager()

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            # So that "unique" means what people mean by it.
            models.CheckConstraint(name="user_email_is_lower_case", condition=Q(email=Lower("email"))),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def first_name(self) -> str:
        return self.name.split(" ")[0]

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # Django's own holds the password alone, and a change of role or second factor must log out as well.
        return salted_hmac(
            "members.User.session", f"{self.session_epoch}:{self.password}", secret=secret, algorithm="sha256"
        ).hexdigest()

    @cached_property
    def member(self) -> Member | None:
        """The member this person acts for, if any."""
        representative = getattr(self, "representative", None)
        return representative.member if representative else None

    @cached_property
    def duties(self) -> frozenset[str]:
        """The duties this person holds today."""
        return frozenset(Duty.objects.current().filter(user=self).values_list("kind", flat=True))

    @property
    def is_coordinator(self) -> bool:
        return Duty.Kind.COORDINATOR in self.duties

    @property
    def is_bookkeeper(self) -> bool:
        return Duty.Kind.BOOKKEEPER in self.duties

    @property
    def is_active_member(self) -> bool:
        return self.member is not None and self.member.is_active


class MemberQuerySet(models.QuerySet["Member"]):
    def active(self) -> MemberQuerySet:
        return self.filter(status=Member.Status.ACTIVE)

    def away(self) -> MemberQuerySet:
        return self.filter(away_until__isnull=False)


class Member(models.Model):
    """A member of the cooperative: a person, or an organisation.

    An organisation has one seat and one vote, however many people act for it (B9, B16).
    """

    class Kind(models.TextChoices):
        PERSON = "person", _("person")
        ORGANISATION = "organisation", _("organisation")

    class Status(models.TextChoices):
        ACTIVE = "active", _("active")
        PAUSED = "paused", _("paused")
        LEFT = "left", _("left")

    name = models.CharField(_("name"), max_length=120, unique=True)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.ACTIVE)
    country = models.CharField(_("country"), max_length=2, help_text=_("Two letters, such as CA."))
    time_zone = time_zone_field()
    away_until = models.DateField(_("away until"), null=True, blank=True, help_text=_("The first day back."))
    joined_on = models.DateField(_("joined on"), default=calendars.today)

    objects = MemberQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="member_kind_is_known", condition=Q(kind__in=["person", "organisation"])),
            models.CheckConstraint(name="member_status_is_known", condition=Q(status__in=["active", "paused", "left"])),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.status == self.Status.ACTIVE

    @property
    def can_be_asked(self) -> bool:
        """Active, and not away."""
        return self.is_active and self.away_until is None

    @property
    def today(self) -> date:
        """The day it is where they are."""
        return timezone.localdate(timezone=zoneinfo.ZoneInfo(self.time_zone))

    @property
    def back_at(self) -> datetime | None:
        """The instant their first day back begins where they are; None when they are not away."""
        if self.away_until is None:
            return None
        return datetime.combine(self.away_until, time.min, tzinfo=zoneinfo.ZoneInfo(self.time_zone))


class Representative(models.Model):
    """A person who acts for a member (B16). A sole trader is their own and only one (B25)."""

    user = models.OneToOneField(User, models.PROTECT, verbose_name=_("person"))
    member = models.ForeignKey(Member, models.PROTECT, related_name="representatives", verbose_name=_("member"))
    since = models.DateField(_("since"), default=calendars.today)

    class Meta:
        ordering = ["member", "user__name"]

    def __str__(self) -> str:
        return self.user.name

    @property
    def for_member(self) -> str:
        """ "Bo Maas, Veldwerk"; a sole trader is named once."""
        return self.user.name if self.user.name == self.member.name else f"{self.user.name}, {self.member.name}"


class DutyQuerySet(models.QuerySet["Duty"]):
    def current(self) -> DutyQuerySet:
        today = calendars.today()
        return self.filter(since__lte=today).filter(Q(until=None) | Q(until__gt=today))

    def coordinators(self) -> DutyQuerySet:
        return self.filter(kind=Duty.Kind.COORDINATOR)


class Duty(models.Model):
    """What a person is trusted with for a time: coordinating the queue, or keeping the books."""

    class Kind(models.TextChoices):
        COORDINATOR = "coordinator", _("coordinator")
        BOOKKEEPER = "bookkeeper", _("bookkeeper")

    user = models.ForeignKey(User, models.PROTECT, verbose_name=_("person"))
    kind = models.CharField(_("duty"), max_length=12, choices=Kind)
    since = models.DateField(_("since"), default=calendars.today)
    until = models.DateField(_("until"), null=True, blank=True, help_text=_("The first day without the duty."))

    objects = DutyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = _("duties")
        ordering = ["since", "pk"]
        constraints = [
            models.UniqueConstraint(name="duty_open_once", fields=["user", "kind"], condition=Q(until=None)),
            models.CheckConstraint(name="duty_ends_after_it_begins", condition=Q(until=None) | Q(until__gt=F("since"))),
            models.CheckConstraint(name="duty_kind_is_known", condition=Q(kind__in=["coordinator", "bookkeeper"])),
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_kind_display()}"


class Queue(models.Model):
    """A rotation. Its row is the lock under which a turn is taken; `last_turn` is the highest number given out."""

    SUPPORT = "support"

    name = models.SlugField(_("name"), unique=True)
    last_turn = models.BigIntegerField(_("last turn"), default=0)

    def __str__(self) -> str:
        return self.name


class SeatQuerySet(models.QuerySet["Seat"]):
    def in_turn_order(self) -> SeatQuerySet:
        return self.order_by("turn")


class Seat(models.Model):
    """A member's one place in a queue (B16, B26). The lowest turn is next."""

    queue = models.ForeignKey(Queue, models.PROTECT, related_name="seats")
    member = models.ForeignKey(Member, models.PROTECT, related_name="seats")
    turn = models.BigIntegerField()

    objects = SeatQuerySet.as_manager()

    class Meta:
        ordering = ["turn"]
        constraints = [
            models.UniqueConstraint(name="seat_one_per_member", fields=["queue", "member"]),
            models.UniqueConstraint(name="seat_turn_is_its_own", fields=["queue", "turn"]),
        ]

    def __str__(self) -> str:
        return f"{self.member} ({self.turn})"


class Calendar(models.Model):
    """Weekly business hours in one time zone."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    time_zone = time_zone_field()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def hours(self) -> calendars.WeeklyHours:
        """The week as the arithmetic in `aegir_support.calendars` wants it."""
        spans = [calendars.Span(span.weekday, span.opens, span.closes) for span in self.spans.all()]
        return calendars.WeeklyHours(spans, zoneinfo.ZoneInfo(self.time_zone))


class CalendarSpan(models.Model):
    """One stretch of open hours on one day of the week."""

    class Weekday(models.IntegerChoices):
        MONDAY = 0, _("Monday")
        TUESDAY = 1, _("Tuesday")
        WEDNESDAY = 2, _("Wednesday")
        THURSDAY = 3, _("Thursday")
        FRIDAY = 4, _("Friday")
        SATURDAY = 5, _("Saturday")
        SUNDAY = 6, _("Sunday")

    calendar = models.ForeignKey(Calendar, models.CASCADE, related_name="spans")
    weekday = models.PositiveSmallIntegerField(_("day"), choices=Weekday)
    opens = models.TimeField(_("opens"))
    closes = models.TimeField(_("closes"))

    class Meta:
        ordering = ["weekday", "opens"]
        constraints = [
            models.CheckConstraint(
                name="span_closes_after_it_opens",
                condition=Q(closes__gt=F("opens")),
                violation_error_message=_("Closing time is after opening time."),
            ),
            models.CheckConstraint(name="span_weekday_exists", condition=Q(weekday__lte=6)),
            models.UniqueConstraint(name="span_opens_once", fields=["calendar", "weekday", "opens"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_weekday_display()} {self.opens:%H:%M}–{self.closes:%H:%M}"


class UsedCode(models.Model):
    """A code of an authenticator app that has been taken; the same one is not taken again, whoever asks at once."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    step = models.BigIntegerField(help_text="The half minute the code belongs to, counted from 1970.")

    class Meta:
        constraints = [models.UniqueConstraint(name="used_code_is_taken_once", fields=["user", "step"])]

    def __str__(self) -> str:
        return f"{self.user_id} {self.step}"


class Tally(models.Model):
    """How often something was tried since the first time within its window (`limits`).

    The table is not logged: after a crash of the database counting begins again, and counting costs no disk.
    """

    key = models.CharField(max_length=64, primary_key=True, help_text="What is counted and for whom, as a hash.")
    count = models.BigIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return f"{self.key[:8]} {self.count}"
