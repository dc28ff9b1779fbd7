"""What a client has: terms, the tickets granted, and what each piece of work uses of them."""

from __future__ import annotations

from datetime import date

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from aegir_support import calendars
from members.models import User

from .catalogue import Tier
from .clients import Client


class DateRange(Func):
    """`[starts_on, ends_on)` as PostgreSQL sees it."""

    function = "DATERANGE"
    output_field = DateRangeField()


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def in_force(self, on: date) -> SubscriptionQuerySet:
        return self.filter(starts_on__lte=on, ends_on__gt=on)

    def coming(self, on: date) -> SubscriptionQuerySet:
        """Terms that are entered and have not begun, the next one first."""
        return self.filter(starts_on__gt=on).select_related("tier").order_by("starts_on")


class Subscription(models.Model):
    """A client's tier and CPU count for one term, as bought. Days run [starts_on, ends_on)."""

    client = models.ForeignKey(Client, models.PROTECT, related_name="subscriptions", verbose_name=_("client"))
    tier = models.ForeignKey(Tier, models.PROTECT, related_name="subscriptions", verbose_name=_("tier"))
    cpus = models.PositiveSmallIntegerField(_("CPUs"))
    starts_on = models.DateField(_("starts on"))
    ends_on = models.DateField(_("ends on"), help_text=_("The first day no longer covered."))

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_on"]
        constraints = [
            models.CheckConstraint(
                name="subscription_ends_after_it_starts",
                condition=Q(ends_on__gt=F("starts_on")),
                violation_error_message=_("A term ends after it starts."),
            ),
            models.CheckConstraint(name="subscription_covers_a_cpu", condition=Q(cpus__gt=0)),
            ExclusionConstraint(
                name="subscription_one_at_a_time",
                expressions=[
                    ("client", RangeOperators.EQUAL),
                    (DateRange("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
                violation_error_message=_("This client already has a subscription in those days."),
            ),
        ]

    def __str__(self) -> str:
        cpus = ngettext("%(n)d CPU", "%(n)d CPUs", self.cpus) % {"n": self.cpus}
        return f"{self.tier.name}, {cpus}"

    def clean(self) -> None:
        # Said before the constraints are asked: PostgreSQL breaks off at a range that runs backwards.
        if self.starts_on and self.ends_on and self.ends_on <= self.starts_on:
            raise ValidationError({"ends_on": _("A term ends after it starts.")})

    @property
    def tickets(self) -> int | None:
        """Tickets the term brings; None means unlimited."""
        return None if self.tier.tickets_per_cpu is None else self.tier.tickets_per_cpu * self.cpus


class GrantQuerySet(models.QuerySet["Grant"]):
    def live(self, on: date) -> GrantQuerySet:
        return self.filter(starts_on__lte=on, ends_on__gt=on)

    def with_something_left(self) -> GrantQuerySet:
        return self.filter(Q(tickets=None) | Q(used__lt=F("tickets")))

    def in_order_of_use(self) -> GrantQuerySet:
        """Included tickets first, soonest end first, then packs, then what staff gave (product.md, Tiers 5)."""
        order = models.Case(
            *[models.When(kind=kind, then=place) for place, kind in enumerate(["term", "pack", "staff"])], default=9
        )
        return self.order_by(order, "ends_on", "pk")


class Grant(models.Model):
    """Tickets a client may use until an end: from a term, a pack, or named staff.

    `used` counts what is held or charged; a trigger on charges keeps it, and `grant_never_overdrawn` guards it.
    """

    class Kind(models.TextChoices):
        TERM = "term", _("included in the term")
        PACK = "pack", _("pack")
        STAFF = "staff", _("given by staff")

    client = models.ForeignKey(Client, models.PROTECT, related_name="grants", verbose_name=_("client"))
    kind = models.CharField(_("kind"), max_length=5, choices=Kind)
    subscription = models.OneToOneField(Subscription, models.PROTECT, related_name="grant", null=True, blank=True)
    tickets = models.PositiveIntegerField(_("tickets"), null=True, blank=True, help_text=_("Empty means unlimited."))
    used = models.PositiveIntegerField(_("held or charged"), default=0, editable=False)
    starts_on = models.DateField(_("starts on"), default=calendars.today)
    ends_on = models.DateField(_("ends on"), help_text=_("The first day no longer covered."))
    given_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, verbose_name=_("given by"))
    reason = models.CharField(_("reason"), max_length=200, blank=True)

    objects = GrantQuerySet.as_manager()

    class Meta:
        ordering = ["client", "ends_on"]
        indexes = [models.Index(fields=["client", "ends_on"], name="grant_by_client_and_end")]
        constraints = [
            models.CheckConstraint(name="grant_never_overdrawn", condition=Q(tickets=None) | Q(used__lte=F("tickets"))),
            models.CheckConstraint(name="grant_ends_after_it_starts", condition=Q(ends_on__gt=F("starts_on"))),
            models.CheckConstraint(
                name="grant_of_a_term_has_its_subscription",
                condition=Q(kind="term", subscription__isnull=False) | Q(kind__in=["pack", "staff"], subscription=None),
            ),
            models.CheckConstraint(
                name="grant_by_staff_is_named_and_reasoned",
                condition=~Q(kind="staff") | (Q(given_by__isnull=False) & ~Q(reason="")),
                violation_error_message=_("A grant by staff names who gave it and why."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.client}, {self.get_kind_display()}"

    @property
    def left(self) -> int | None:
        """Tickets still to use; None means unlimited."""
        return None if self.tickets is None else self.tickets - self.used


class ChargeQuerySet(models.QuerySet["Charge"]):
    def counts(self) -> dict[str, int]:
        """How many are `held`, `charged` and `released`."""
        return self.aggregate(**{state: models.Count("pk", filter=Q(state=state)) for state in Charge.State.values})


class Charge(models.Model):
    """One piece of work's use of one ticket of a grant. `key` names the work, such as `ticket:1043`."""

    class State(models.TextChoices):
        HELD = "held", _("held")
        CHARGED = "charged", _("charged")
        RELEASED = "released", _("released")

    grant = models.ForeignKey(Grant, models.PROTECT, related_name="charges", verbose_name=_("grant"))
    key = models.CharField(_("for"), max_length=40, unique=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.HELD)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    held_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, editable=False)

    objects = ChargeQuerySet.as_manager()

    class Meta:
        ordering = ["-held_at"]
        indexes = [models.Index(fields=["grant", "state"], name="charge_by_grant_and_state")]
        constraints = [
            models.CheckConstraint(
                name="charge_state_is_known", condition=Q(state__in=["held", "charged", "released"])
            ),
            models.CheckConstraint(
                name="charge_is_held_until_decided",
                condition=Q(state="held", decided_at=None) | ~Q(state="held") & Q(decided_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.get_state_display()}"
