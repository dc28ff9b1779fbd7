from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from . import jobs, outbox
from .models import Alarm, JobRun, JobRunQuerySet, Outbox, OutboxQuerySet


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: "OutboxAdmin") -> list[tuple[str, str]]:  # type: ignore[override]
        return [("parked", _("parked")), ("waiting", _("waiting")), ("done", _("done"))]  # type: ignore[list-item]

    def queryset(self, request: HttpRequest, queryset: OutboxQuerySet) -> OutboxQuerySet:  # type: ignore[override]
        match self.value():
            case "parked":
                return queryset.parked()
            case "waiting":
                return queryset.waiting()
            case "done":
                return queryset.done()
        return queryset


@admin.register(Outbox)
class OutboxAdmin(admin.ModelAdmin[Outbox]):
    """To look at, and to send again what was parked. Nobody writes or changes a row by hand.

    What a row says is for its reader alone: a client's words, or a link that opens an account. It is never shown.
    """

    fields = ["kind", "key", "created_at", "due_at", "attempts", "done_at", "parked_at", "error", "request_id"]
    list_display = ["key", "kind", "created_at", "done_at", "parked_at", "attempts", "error"]
    list_filter = [StateFilter, "kind"]
    search_fields = ["key", "request_id"]
    actions = ["send_again"]

    @admin.action(description=_("Send parked rows again"), permissions=["view"])
    def send_again(self, request: HttpRequest, rows: OutboxQuerySet) -> None:
        count = outbox.send_again(rows)
        words = ngettext("%d row will be sent again.", "%d rows will be sent again.", count) % count
        self.message_user(request, words, messages.SUCCESS)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # A filter in the address (`?payload__text__startswith=…`) would spell out letter by letter what is not shown.
        return not lookup.startswith("payload") and super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Outbox | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Outbox | None = None) -> bool:
        return False


class FailedFilter(admin.SimpleListFilter):
    title = _("how it went")
    parameter_name = "went"

    def lookups(self, request: HttpRequest, model_admin: "JobRunAdmin") -> list[tuple[str, str]]:  # type: ignore[override]
        return [("badly", _("failed"))]  # type: ignore[list-item]

    def queryset(self, request: HttpRequest, queryset: JobRunQuerySet) -> JobRunQuerySet:  # type: ignore[override]
        return queryset.failed() if self.value() == "badly" else queryset


class JobFilter(admin.SimpleListFilter):
    title = _("job")
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: "JobRunAdmin") -> list[tuple[str, str]]:  # type: ignore[override]
        return list(jobs.periodic().items())

    def queryset(self, request: HttpRequest, queryset: JobRunQuerySet) -> JobRunQuerySet:  # type: ignore[override]
        return queryset.of(job) if (job := self.value()) else queryset


@admin.register(JobRun)
class JobRunAdmin(admin.ModelAdmin[JobRun]):
    """What ran when and how long, and above it how each job fares. To look at only."""

    list_display = ["name", "last_ran", "took", "runs", "failures", "error"]
    list_filter = [FailedFilter, JobFilter]

    @admin.display(description=_("job"), ordering="job")
    def name(self, run: JobRun) -> str:
        return jobs.plain_name(run.job)

    @admin.display(description=_("last ran"), ordering="ran_at")
    def last_ran(self, run: JobRun) -> str:
        return date_format(timezone.localtime(run.ran_at), "j M Y, H:i")

    @admin.display(description=_("took"), ordering="seconds")
    def took(self, run: JobRun) -> str:
        return jobs.took_in_words(run.seconds)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        facts = {"records": jobs.records(), "raised": Alarm.objects.filter(is_raised=True)}
        return super().changelist_view(request, {**facts, **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: JobRun | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: JobRun | None = None) -> bool:
        return False
