"""The state of the ground, in numbers: the outbox, the jobs, the connections and the sessions."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client.metrics_core import Metric

from . import jobs
from .metrics import gauge
from .models import Outbox
from .outbox import handlers


def outbox() -> Iterator[Metric]:
    now = timezone.now()
    waiting, parked, ages = (dict.fromkeys(handlers, 0.0) for _number in range(3))
    unfinished = Outbox.objects.filter(done_at=None).values("kind").order_by()
    for row in unfinished.annotate(
        waiting=Count("pk", filter=Q(parked_at=None)),
        parked=Count("pk", filter=Q(parked_at__isnull=False)),
        oldest=Min("due_at", filter=Q(parked_at=None, due_at__lte=now)),
    ):
        kind = row["kind"]
        waiting[kind], parked[kind] = row["waiting"], row["parked"]
        ages[kind] = (now - row["oldest"]).total_seconds() if row["oldest"] else 0.0
    yield gauge("support_outbox_waiting", "Rows still to be handed out.", waiting, label="kind")
    yield gauge("support_outbox_parked", "Rows that failed for two days.", parked, label="kind")
    yield gauge("support_outbox_oldest_seconds", "How long the oldest due row has been due.", ages, label="kind")


def periodic_jobs() -> Iterator[Metric]:
    records = jobs.records()
    now = timezone.now()
    last = jobs.last_heartbeat()
    # Before the first one there is no age; an alarm on the number's absence is in docs/alerts.yml.
    yield gauge(
        "support_heartbeat_age_seconds", "Time since a job last ran.", (now - last).total_seconds() if last else {}
    )
    well = {record.job: record.last_success for record in records if record.last_success}
    yield gauge(
        "support_job_last_success_timestamp_seconds",
        "When the job last went well, in seconds since 1970.",
        {job: run.ran_at.timestamp() for job, run in well.items()},
        label="job",
    )
    yield gauge(
        "support_job_seconds",
        "How long its last run of that minute took.",
        {job: run.seconds for job, run in well.items()},
        label="job",
    )
    yield gauge(
        "support_job_failures",
        "How often the job failed in the last 24 hours.",
        {record.job: record.failures_in_a_day for record in records},
        label="job",
    )


def database() -> Iterator[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(state, 'hidden'), count(*) FROM pg_stat_activity
            WHERE datname = current_database() GROUP BY 1
            """
        )
        states: dict[str, float] = {state: count for state, count in cursor.fetchall()}  # noqa: C416 (typed)
        cursor.execute("SELECT setting::int FROM pg_settings WHERE name = 'max_connections'")
        [[most]] = cursor.fetchall()
    yield gauge("support_database_connections", "Connections to our database.", states, label="state")
    yield gauge("support_database_connections_max", "Connections that the server allows in all.", most)


def sessions() -> Iterator[Metric]:
    alive = Session.objects.filter(expire_date__gt=timezone.now()).count()
    yield gauge("support_sessions", "Sessions that have not ended, those of visitors included.", alive)
