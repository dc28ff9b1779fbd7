"""Work that others do: partners, who are no members and have no vote."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from members.access import Visitor, is_person
from members.models import User


class Partner(models.Model):
    """A firm outside the cooperative that receives referred work (B34)."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    country = models.CharField(_("country"), max_length=2, help_text=_("Two letters, such as US."))

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class PartnerContact(models.Model):
    """A person who logs in for a partner."""

    user = models.OneToOneField(User, models.PROTECT, related_name="partner_contact", verbose_name=_("person"))
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="contacts", verbose_name=_("partner"))

    class Meta:
        ordering = ["user__name"]

    def __str__(self) -> str:
        return self.user.name


def partner_of(user: Visitor) -> Partner | None:
    """The partner this person logs in for, if any. Asked once for each `user` in memory."""
    if not is_person(user):
        return None
    known = vars(user)
    if "_partner" not in known:
        known["_partner"] = Partner.objects.filter(contacts__user=user).first()
    partner: Partner | None = known["_partner"]
    return partner
