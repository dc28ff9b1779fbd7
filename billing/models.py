"""What is sold and what a client has: tiers, packs, subscriptions, grants and their charges."""

from __future__ import annotations

from datetime import date

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from aegir_support import calendars
from members.access import Visitor, is_person
from members.models import Calendar, User


class Channel(models.TextChoices):
    """How a client may engage (B36, B37)."""

    FORUM = "forum", _("Forum")
    PORTAL = "portal", _("Portal")
    EMAIL = "email", _("E-mail")
    SSH = "ssh", _("SSH")
    PHONE = "phone", _("Phone")
    EMERGENCY = "emergency", _("Emergency line")


class Severity(models.IntegerChoices):
    """How bad it is, 1 the worst."""

    S1 = 1, _("S1 · down")
    S2 = 2, _("S2 · works badly")
    S3 = 3, _("S3 · hindered")
    S4 = 4, _("S4 · question")


class TierQuerySet(models.QuerySet["Tier"]):
    def on_sale(self) -> TierQuerySet:
        return self.filter(on_sale=True)


class Tier(models.Model):
    """One version of what is sold: allowance, channels, response promise. A change makes a new version (B3, B19)."""

    class PriceBasis(models.TextChoices):
        PER_CPU = "per_cpu", _("per CPU and year")
        FLAT = "flat", _("per year")
        QUOTE_FROM = "quote_from", _("from, by quote")

    code = models.SlugField(_("code"), max_length=40)
    version = models.PositiveIntegerField(_("version"), default=1)
    name = models.CharField(_("name"), max_length=80)
    summary = models.CharField(_("summary"), max_length=200)
    price_basis = models.CharField(_("price"), max_length=12, choices=PriceBasis)
    tickets_per_cpu = models.PositiveIntegerField(
        _("tickets per CPU and year"), null=True, blank=True, help_text=_("Empty means unlimited, fair use.")
    )
    channels = ArrayField(models.CharField(max_length=12, choices=Channel), verbose_name=_("channels"))
    contacts = models.PositiveIntegerField(_("contacts"), default=1)
    round_the_clock_emergency = models.BooleanField(_("emergency line round the clock"), default=False)
    position = models.PositiveSmallIntegerField(_("place in the list"), default=0)
    on_sale = models.BooleanField(_("on sale"), default=True)

    objects = TierQuerySet.as_manager()

    class Meta:
        ordering = ["position", "code", "-version"]
        constraints = [
            models.UniqueConstraint(name="tier_version_once", fields=["code", "version"]),
            models.UniqueConstraint(name="tier_one_version_on_sale", fields=["code"], condition=Q(on_sale=True)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_unlimited(self) -> bool:
        return self.tickets_per_cpu is None

    @property
    def channel_labels(self) -> list[str]:
        return [str(Channel(code).label) for code in self.channels]

    @property
    def takes_tickets(self) -> bool:
        """True when the tier has a channel by which a private ticket can be filed."""
        return Channel.PORTAL in self.channels


class Promise(models.Model):
    """The first response a tier promises for a severity (B22). A fix time is never promised."""

    class Unit(models.TextChoices):
        BUSINESS_DAYS = "bd", _("business days")
        BUSINESS_HOURS = "bh", _("business hours")
        HOURS = "h", _("hours by the clock")

    tier = models.ForeignKey(Tier, models.CASCADE, related_name="promises", verbose_name=_("tier"))
    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity)
    amount = models.PositiveSmallIntegerField(_("first response within"))
    unit = models.CharField(_("unit"), max_length=2, choices=Unit)

    class Meta:
        ordering = ["severity"]
        constraints = [
            models.UniqueConstraint(name="promise_one_per_severity", fields=["tier", "severity"]),
            models.CheckConstraint(
                name="promise_takes_some_time",
                condition=Q(amount__gt=0),
                violation_error_message=_("A response takes at least one hour or day."),
            ),
            models.CheckConstraint(name="promise_unit_is_known", condition=Q(unit__in=["bd", "bh", "h"])),
        ]

    def __str__(self) -> str:
        match self.unit:
            case self.Unit.BUSINESS_DAYS:
                return ngettext("%(n)d business day", "%(n)d business days", self.amount) % {"n": self.amount}
            case self.Unit.BUSINESS_HOURS:
                return ngettext("%(n)d business hour", "%(n)d business hours", self.amount) % {"n": self.amount}
            case _unit:
                return ngettext("%(n)d hour, day and night", "%(n)d hours, day and night", self.amount) % {
                    "n": self.amount
                }


class Pack(models.Model):
    """One version of a pack of tickets that lives beside a tier (B30)."""

    code = models.SlugField(_("code"), max_length=40)
    version = models.PositiveIntegerField(_("version"), default=1)
    tickets = models.PositiveIntegerField(_("tickets"))
    valid_months = models.PositiveSmallIntegerField(_("valid for, months"))
    on_sale = models.BooleanField(_("on sale"), default=True)

    class Meta:
        ordering = ["tickets", "-version"]
        constraints = [
            models.UniqueConstraint(name="pack_version_once", fields=["code", "version"]),
            models.UniqueConstraint(name="pack_one_version_on_sale", fields=["code"], condition=Q(on_sale=True)),
            models.CheckConstraint(name="pack_holds_tickets", condition=Q(tickets__gt=0, valid_months__gt=0)),
        ]

    def __str__(self) -> str:
        return ngettext("%(n)d ticket", "%(n)d tickets", self.tickets) % {"n": self.tickets}


class PriceQuerySet(models.QuerySet["Price"]):
    def on_sale(self) -> PriceQuerySet:
        return self.filter(Q(tier__on_sale=True) | Q(pack__on_sale=True))

    def currencies(self) -> list[str]:
        """Each currency once, in the order in which it was first priced."""
        first = self.values("currency").annotate(first=models.Min("pk")).order_by("first")
        return list(first.values_list("currency", flat=True))


class Price(models.Model):
    """What a tier or a pack costs in one currency, net of tax. Nothing is converted."""

    tier = models.ForeignKey(Tier, models.CASCADE, related_name="prices", null=True, blank=True)
    pack = models.ForeignKey(Pack, models.CASCADE, related_name="prices", null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    amount_cents = models.PositiveIntegerField(_("price in cents"))

    objects = PriceQuerySet.as_manager()

    class Meta:
        ordering = ["currency"]
        constraints = [
            models.CheckConstraint(
                name="price_of_a_tier_or_a_pack",
                condition=Q(tier__isnull=False, pack=None) | Q(tier=None, pack__isnull=False),
            ),
            models.UniqueConstraint(name="price_of_a_tier_once", fields=["tier", "currency"]),
            models.UniqueConstraint(name="price_of_a_pack_once", fields=["pack", "currency"]),
            models.CheckConstraint(name="price_currency_is_a_code", condition=Q(currency__regex=r"^[A-Z]{3}$")),
        ]

    def __str__(self) -> str:
        return f"{self.tier or self.pack}: {self.amount_cents} {self.currency}"


class Client(models.Model):
    """An organisation that buys support."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    country = models.CharField(
        _("country"),
        max_length=2,
        validators=[RegexValidator(r"^[A-Z]{2}$", _("A country is two capital letters, such as NL."))],
        help_text=_("Two letters, such as NL."),
    )
    currency = models.CharField(_("currency"), max_length=3)
    calendar = models.ForeignKey(Calendar, models.PROTECT, verbose_name=_("business hours"))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="client_currency_is_a_code",
                condition=Q(currency__regex=r"^[A-Z]{3}$"),
                violation_error_message=_("A currency is three capital letters, such as EUR."),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Contact(models.Model):
    """A person of a client, with a role and a sharing rule."""

    class Role(models.TextChoices):
        OWNER = "owner", _("owner")
        BILLING = "billing", _("billing")
        TECHNICAL = "technical", _("technical")
        WATCHER = "watcher", _("watcher")

    class Sees(models.TextChoices):
        ALL = "all", _("all tickets of the client")
        OWN = "own", _("only tickets they filed")

    user = models.OneToOneField(User, models.PROTECT, related_name="contact", verbose_name=_("person"))
    client = models.ForeignKey(Client, models.PROTECT, related_name="contacts", verbose_name=_("client"))
    role = models.CharField(_("role"), max_length=10, choices=Role)
    sees = models.CharField(_("sees"), max_length=4, choices=Sees, default=Sees.ALL)

    class Meta:
        ordering = ["user__name"]
        constraints = [
            models.CheckConstraint(
                name="contact_role_is_known", condition=Q(role__in=["owner", "billing", "technical", "watcher"])
            ),
            models.CheckConstraint(name="contact_sees_all_or_own", condition=Q(sees__in=["all", "own"])),
        ]

    def __str__(self) -> str:
        return self.user.name

    def clean(self) -> None:
        # One login is on one side of a ticket; somebody on both has a second address.
        if self.user_id and self.user.member is not None:
            raise ValidationError(
                {"user": _("This person acts for a member. A client's contact has a login of its own.")}
            )

    @property
    def may_file(self) -> bool:
        """A watcher reads; everybody else may ask."""
        return self.role != self.Role.WATCHER

    @property
    def sees_all(self) -> bool:
        """False for somebody who sees only what they filed themselves."""
        return self.sees == self.Sees.ALL

    @property
    def is_invited(self) -> bool:
        """They have an invitation and have not come in yet."""
        return self.user.last_login is None

    @property
    def may_invite(self) -> bool:
        return self.role == self.Role.OWNER


def contact_of(user: Visitor) -> Contact | None:
    """The contact this person is, if they are one; the client comes with it. Asked once for each `user` in memory."""
    if not is_person(user):
        return None
    known = vars(user)
    if "_contact" not in known:
        known["_contact"] = Contact.objects.select_related("client__calendar").filter(user=user).first()
    contact: Contact | None = known["_contact"]
    return contact


class Installation(models.Model):
    """An Ægir installation: its version, and the servers that belong together."""

    client = models.ForeignKey(Client, models.PROTECT, related_name="installations", verbose_name=_("client"))
    name = models.CharField(_("name"), max_length=120)
    aegir_version = models.CharField(_("Ægir version"), max_length=40, blank=True)
    operating_system = models.CharField(_("operating system"), max_length=80, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(name="installation_name_once_per_client", fields=["client", "name"]),
        ]

    def __str__(self) -> str:
        return self.name


class ServerQuerySet(models.QuerySet["Server"]):
    def of(self, client: Client) -> ServerQuerySet:
        return self.filter(installation__client=client).select_related("installation")


class Server(models.Model):
    """A client's machine with its CPU count, part of one installation."""

    installation = models.ForeignKey(Installation, models.PROTECT, related_name="servers")
    hostname = models.CharField(_("host name"), max_length=253, unique=True)
    cpus = models.PositiveSmallIntegerField(
        _("CPUs"), help_text=_("Occupied sockets; a virtual server counts 1 per started 8 vCPU.")
    )

    objects = ServerQuerySet.as_manager()

    class Meta:
        ordering = ["hostname"]
        constraints = [models.CheckConstraint(name="server_has_a_cpu", condition=Q(cpus__gt=0))]

    def __str__(self) -> str:
        return self.hostname

    @property
    def cpus_text(self) -> str:
        return ngettext("%(n)d CPU", "%(n)d CPUs", self.cpus) % {"n": self.cpus}


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
