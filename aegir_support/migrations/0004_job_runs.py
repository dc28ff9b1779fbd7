import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("aegir_support", "0003_stored_files"),
    ]

    operations = [
        migrations.CreateModel(
            name="Alarm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=40, unique=True, verbose_name="alarm")),
                ("is_raised", models.BooleanField(default=False, verbose_name="raised")),
                ("since", models.DateTimeField(default=django.utils.timezone.now, verbose_name="since")),
                (
                    "claimed_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="being told since"),
                ),
                ("told_at", models.DateTimeField(blank=True, null=True, verbose_name="told")),
            ],
            options={
                "verbose_name": "alarm",
                "verbose_name_plural": "alarms",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="JobRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("job", models.CharField(max_length=80, verbose_name="job")),
                ("slot", models.DateTimeField(verbose_name="minute")),
                ("ran_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="last ran")),
                ("seconds", models.FloatField(default=0, verbose_name="took, in seconds")),
                ("runs", models.PositiveIntegerField(default=1, verbose_name="runs")),
                ("failures", models.PositiveIntegerField(default=0, verbose_name="failures")),
                ("error", models.TextField(blank=True, verbose_name="last error")),
            ],
            options={
                "verbose_name": "run of a job",
                "verbose_name_plural": "runs of jobs",
                "ordering": ["-slot", "job"],
                "indexes": [
                    models.Index(fields=["-slot", "job"], name="job_run_by_slot"),
                    models.Index(
                        condition=models.Q(("failures__gt", 0)), fields=["job", "-slot"], name="job_run_failed"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("job", "slot"), name="job_run_one_row_per_job_and_slot"),
                    models.CheckConstraint(
                        condition=models.Q(("failures__lte", models.F("runs"))),
                        name="job_run_fails_at_most_as_often_as_it_runs",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("failures", 0), models.Q(("error", ""), _negated=True), _connector="OR"),
                        name="job_run_failed_tells_its_error",
                    ),
                ],
            },
        ),
    ]
