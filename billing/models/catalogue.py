"""What is sold: tiers with their promises, packs, and what each costs."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext


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
    files_per_message = models.PositiveSmallIntegerField(_("files with one message"), default=10)
    file_mb = models.PositiveSmallIntegerField(_("largest file, MB"), default=20)
    message_mb = models.PositiveSmallIntegerField(_("files of one message together, MB"), default=50)
    position = models.PositiveSmallIntegerField(_("place in the list"), default=0)
    on_sale = models.BooleanField(_("on sale"), default=True)

    objects = TierQuerySet.as_manager()

    class Meta:
        ordering = ["position", "code", "-version"]
        constraints = [
            models.UniqueConstraint(name="tier_version_once", fields=["code", "version"]),
            models.UniqueConstraint(name="tier_one_version_on_sale", fields=["code"], condition=Q(on_sale=True)),
            models.CheckConstraint(
                name="tier_message_holds_its_largest_file",
                condition=Q(message_mb__gte=F("file_mb")),
                violation_error_message=_("The files of a message together are allowed at least one of the largest."),
            ),
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
