from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class OutboxQuerySet(models.QuerySet["Outbox"]):
    def waiting(self) -> OutboxQuerySet:
        return self.filter(done_at=None, parked_at=None)

    def due(self, now: datetime) -> OutboxQuerySet:
        return self.waiting().filter(due_at__lte=now)

    def done(self) -> OutboxQuerySet:
        return self.filter(done_at__isnull=False)

    def parked(self) -> OutboxQuerySet:
        return self.filter(parked_at__isnull=False)


class Outbox(models.Model):
    """Something others must be told exactly once, kept until they have been.

    It is written in the transaction that gives the reason, so it exists if and only if the reason does. A job hands it
    out (`outbox.drain`), repeats what fails, and parks what failed too often for a person to look at.
    """

    kind = models.CharField(_("kind"), max_length=40)
    key = models.CharField(_("key"), max_length=200, unique=True, help_text=_("The same key is kept only once."))
    payload = models.JSONField(_("content"))
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("written"), default=timezone.now)
    due_at = models.DateTimeField(_("due"), default=timezone.now)
    attempts = models.PositiveSmallIntegerField(_("failed attempts"), default=0)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    parked_at = models.DateTimeField(_("parked"), null=True, blank=True)
    error = models.TextField(_("last error"), blank=True)

    objects = OutboxQuerySet.as_manager()

    class Meta:
        verbose_name = _("outbox entry")
        verbose_name_plural = _("outbox")
        ordering = ["-pk"]
        indexes = [
            models.Index(
                name="outbox_waiting",
                fields=["due_at", "id"],
                condition=Q(done_at__isnull=True, parked_at__isnull=True),
            )
        ]
        constraints = [
            models.CheckConstraint(
                name="outbox_is_done_or_parked_never_both",
                condition=Q(done_at__isnull=True) | Q(parked_at__isnull=True),
            ),
            models.CheckConstraint(
                name="outbox_parked_tells_its_error", condition=Q(parked_at__isnull=True) | ~Q(error="")
            ),
            models.CheckConstraint(name="outbox_has_kind_and_key", condition=~Q(kind="") & ~Q(key="")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
