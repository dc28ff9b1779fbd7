from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
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


class Deed(models.Model):
    """One thing that somebody did or tried: a row added, changed or removed, a log-in, an export, a refusal.

    Triggers write most of them (`deeds`). The database refuses to change or remove one, its owner included. People and
    things are named by key only, without a reference: a deed outlives both, and the ground knows no app.
    """

    class Kind(models.TextChoices):
        ADDED = "added", _("added")
        CHANGED = "changed", _("changed")
        REMOVED = "removed", _("removed")
        EMPTIED = "emptied", _("emptied")
        LOGGED_IN = "logged_in", _("logged in")
        LOGGED_OUT = "logged_out", _("logged out")
        LOG_IN_FAILED = "log_in_failed", _("log-in failed")
        SECOND_FACTOR_FAILED = "second_factor_failed", _("second factor failed")
        REFUSED = "refused", _("refused")
        NOT_THEIRS = "not_theirs", _("asked for what is not theirs")
        EXPORTED = "exported", _("exported")

    at = models.DateTimeField(_("when"), db_default=Now(), editable=False)
    who = models.BigIntegerField(_("who"), null=True, blank=True)
    from_where = models.GenericIPAddressField(_("from where"), null=True, blank=True)
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    what = models.CharField(_("what"), max_length=100, blank=True)
    kind = models.CharField(_("kind"), max_length=24, choices=Kind)
    about = models.CharField(_("about"), max_length=63, blank=True)
    about_pk = models.CharField(_("key"), max_length=64, blank=True)
    changes = models.JSONField(_("changes"), null=True, blank=True)

    class Meta:
        verbose_name = _("deed")
        verbose_name_plural = _("deeds")
        ordering = ["-pk"]
        indexes = [
            models.Index(name="deed_by_time", fields=["at"]),
            models.Index(name="deed_by_kind", fields=["kind", "-id"]),
            models.Index(name="deed_by_thing", fields=["about", "about_pk", "-id"]),
            models.Index(name="deed_by_person", fields=["who", "-id"]),
            models.Index(name="deed_by_place", fields=["from_where", "-id"], condition=Q(from_where__isnull=False)),
            models.Index(name="deed_by_request", fields=["request_id", "-id"], condition=~Q(request_id="")),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.kind} {self.about} {self.about_pk}".strip()


class JobRunQuerySet(models.QuerySet["JobRun"]):
    def of(self, job: str) -> JobRunQuerySet:
        return self.filter(job=job)

    def failed(self) -> JobRunQuerySet:
        return self.filter(failures__gt=0)

    def went_well(self) -> JobRunQuerySet:
        return self.filter(failures__lt=F("runs"))


class JobRun(models.Model):
    """What a periodic job did in one minute: how often it ran, how often it failed, and how its last run went.

    Of the heartbeat there is one row for each minute at most, however many clocks strike.
    """

    job = models.CharField(_("job"), max_length=80)
    slot = models.DateTimeField(_("minute"))
    ran_at = models.DateTimeField(_("last ran"), default=timezone.now)
    seconds = models.FloatField(_("took, in seconds"), default=0)
    runs = models.PositiveIntegerField(_("runs"), default=1)
    failures = models.PositiveIntegerField(_("failures"), default=0)
    error = models.TextField(_("last error"), blank=True)

    objects = JobRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run of a job")
        verbose_name_plural = _("runs of jobs")
        ordering = ["-slot", "job"]
        indexes = [
            models.Index(name="job_run_by_slot", fields=["-slot", "job"]),
            models.Index(name="job_run_failed", fields=["job", "-slot"], condition=Q(failures__gt=0)),
        ]
        constraints = [
            models.UniqueConstraint(name="job_run_one_row_per_job_and_slot", fields=["job", "slot"]),
            models.CheckConstraint(
                name="job_run_fails_at_most_as_often_as_it_runs", condition=Q(failures__lte=F("runs"))
            ),
            models.CheckConstraint(name="job_run_failed_tells_its_error", condition=Q(failures=0) | ~Q(error="")),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.slot:%Y-%m-%d %H:%M}"


class Alarm(models.Model):
    """Something that a person must be told of once when it begins and once when it is over.

    Every web process looks; the one whose UPDATE changes this row is the one that tells.
    """

    name = models.CharField(_("alarm"), max_length=40, unique=True)
    is_raised = models.BooleanField(_("raised"), default=False)
    since = models.DateTimeField(_("since"), default=timezone.now)
    claimed_at = models.DateTimeField(_("being told since"), default=timezone.now)
    told_at = models.DateTimeField(_("told"), null=True, blank=True)

    class Meta:
        verbose_name = _("alarm")
        verbose_name_plural = _("alarms")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class StoredFileQuerySet(models.QuerySet["StoredFile"]):
    def unused(self) -> StoredFileQuerySet:
        """Files that no row points to."""
        files = self
        for relation in StoredFile._meta.related_objects:
            using = relation.related_model._default_manager.filter(**{relation.field.name: OuterRef("pk")})
            files = files.filter(~Exists(using))
        return files

    def to_scan(self, now: datetime) -> StoredFileQuerySet:
        """Files to ask the scanner about, those asked about longest ago first."""
        free = Q(asked_at=None) | Q(asked_at__lt=now - timedelta(minutes=1))
        return self.filter(free, is_kept=True, wanted_at__isnull=False).order_by(
            F("asked_at").asc(nulls_first=True), "pk"
        )


class StoredFile(models.Model):
    """Bytes that somebody sent or that we made, kept once. Who may read them is said by the rows that point here."""

    class State(models.TextChoices):
        CLEAN = "clean", _("clean")
        PENDING = "pending", _("being checked")
        INFECTED = "infected", _("withheld")

    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    size = models.PositiveBigIntegerField(_("bytes"), editable=False)
    media_type = models.CharField(_("kind"), max_length=100, blank=True, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=State, editable=False)
    infection = models.CharField(_("infection"), max_length=200, blank=True, editable=False)
    is_kept = models.BooleanField(default=False, editable=False, help_text=_("All its bytes are in the storage."))
    width = models.PositiveIntegerField(null=True, blank=True, editable=False)
    height = models.PositiveIntegerField(null=True, blank=True, editable=False)
    seen_at = models.DateTimeField(default=timezone.now, editable=False)
    wanted_at = models.DateTimeField(null=True, blank=True, editable=False)
    asked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = StoredFileQuerySet.as_manager()

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        ordering = ["-pk"]
        indexes = [
            models.Index(name="file_to_scan", fields=["asked_at", "id"], condition=Q(wanted_at__isnull=False)),
            models.Index(name="file_by_age", fields=["seen_at"]),
        ]
        constraints = [
            models.CheckConstraint(name="file_is_named_by_its_hash", condition=Q(sha256__regex=r"^[0-9a-f]{64}$")),
            models.CheckConstraint(name="file_state_is_known", condition=Q(state__in=["clean", "pending", "infected"])),
            models.CheckConstraint(
                name="file_infected_names_its_infection",
                condition=Q(state="infected") & ~Q(infection="") | ~Q(state="infected") & Q(infection=""),
            ),
            models.CheckConstraint(
                name="file_picture_has_both_sides",
                condition=Q(width=None, height=None) | Q(width__gt=0, height__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return self.sha256[:12]

    @property
    def path(self) -> str:
        """Its name in the storage."""
        return f"{self.sha256[:2]}/{self.sha256[2:4]}/{self.sha256}"

    @property
    def shown_path(self) -> str:
        """The picture as we drew it, for the page."""
        return f"{self.path}.shown"

    @property
    def thumbnail_path(self) -> str:
        return f"{self.path}.thumbnail"

    @property
    def is_picture(self) -> bool:
        """It has been drawn anew, and what was drawn may be shown in a page."""
        return self.width is not None

    def state_since(self, moment: datetime) -> str:
        """Its state for whoever gave it a reason at this moment.

        The same bytes sent again are scanned again before the second sender may read them: a file that was clean or
        withheld at once would tell them that it had been here.
        """
        waits = self.wanted_at is not None and self.wanted_at <= moment
        return self.State.PENDING if waits else self.state
