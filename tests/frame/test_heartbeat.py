"""What ran when, and who notices when nothing runs."""

import http.server
import json
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from celery.schedules import crontab
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from aegir_support import invariants, jobs, tasks, watchdog
from aegir_support.models import Alarm, JobRun, Outbox

MINUTE = timedelta(minutes=1)
SWEEP = "tickets.tasks.sweep"


# The heartbeat


@pytest.mark.django_db(transaction=True)
def test_however_many_clocks_strike_a_minute_has_one_heartbeat():
    with time_machine.travel(datetime(2026, 3, 29, 1, 59, 30, tzinfo=UTC), tick=False):

        def strike(_):
            try:
                jobs.beat()
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as clocks:
            list(clocks.map(strike, range(24)))
    assert JobRun.objects.of(jobs.HEARTBEAT).count() == 1


@pytest.mark.django_db
def test_each_minute_has_its_own_also_when_the_clocks_change():
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    for minute in range(180):
        with time_machine.travel(start + minute * MINUTE, tick=False):
            jobs.beat()
            jobs.beat()
    runs = JobRun.objects.of(jobs.HEARTBEAT)
    assert runs.count() == 180
    assert set(runs.values_list("runs", flat=True)) == {1}


@pytest.mark.django_db
def test_a_clock_that_is_set_back_beats_no_minute_twice():
    for moment in [0, 1, 2, 0, 1, 2, 3]:
        with time_machine.travel(datetime(2026, 5, 1, 12, moment, tzinfo=UTC), tick=False):
            jobs.beat()
    assert JobRun.objects.of(jobs.HEARTBEAT).count() == 4


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Somebody on the loopback who speaks https and listens for the heartbeat."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "outside.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    heard = []

    class Ear(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.path)
            time.sleep(self.server.hangs)
            self.send_response(self.server.says)
            self.send_header("Location", f"https://localhost:{self.server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    server.daemon_threads = True
    server.block_on_close = False
    server.says, server.hangs, server.heard = 200, 0, heard
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.django_db
def test_somebody_outside_hears_each_minute_once(outside, settings, caplog):
    settings.HEARTBEAT_URL = f"https://localhost:{outside.server_port}/ping/s3cret-place?of=aegir"
    jobs.beat()
    jobs.beat()
    assert outside.heard == ["/ping/s3cret-place?of=aegir"]
    assert caplog.records == []


@pytest.mark.django_db
@pytest.mark.parametrize(("says", "hangs"), [(302, 0), (500, 0), (200, 7)])
def test_who_does_not_listen_outside_costs_a_line_in_the_log_alone(outside, settings, caplog, says, hangs):
    settings.HEARTBEAT_URL = f"https://localhost:{outside.server_port}/ping/s3cret-place"
    outside.says, outside.hangs = says, hangs
    started = time.monotonic()
    jobs.beat()
    assert time.monotonic() - started < 6.5
    assert outside.heard == ["/ping/s3cret-place"], "where it sends us on to, nobody goes"
    [line] = caplog.records
    assert "heartbeat not taken outside" in str(line.msg)
    assert "s3cret-place" not in caplog.text
    assert JobRun.objects.of(jobs.HEARTBEAT).count() == 1


@pytest.mark.django_db
def test_a_stranger_with_another_certificate_is_not_told(outside, settings, monkeypatch, caplog):
    monkeypatch.delenv("SSL_CERT_FILE")
    settings.HEARTBEAT_URL = f"https://localhost:{outside.server_port}/ping/s3cret-place"
    jobs.beat()
    assert outside.heard == []
    assert "s3cret-place" not in caplog.text


# Other jobs


@pytest.mark.django_db
def test_what_a_job_did_is_counted_by_the_minute():
    with time_machine.travel(datetime(2026, 5, 1, 12, 0, tzinfo=UTC)):
        for _ in range(3):
            with jobs.recorded(SWEEP):
                pass
        with pytest.raises(ZeroDivisionError), jobs.recorded(SWEEP):
            _ = 1 / 0
    run = JobRun.objects.of(SWEEP).get()
    assert (run.runs, run.failures, run.error) == (4, 1, "ZeroDivisionError")


@pytest.mark.django_db
def test_the_words_of_an_error_are_not_kept():
    with pytest.raises(ValueError, match="hunter2"), jobs.recorded(SWEEP):
        raise ValueError("the password is hunter2")
    assert JobRun.objects.of(SWEEP).get().error == "ValueError"


@pytest.mark.django_db
def test_what_no_clock_starts_is_not_written_down():
    with jobs.recorded("tickets.tasks.something_else"):
        pass
    assert not JobRun.objects.exists()


@pytest.mark.django_db
def test_every_job_of_the_clock_writes_itself_down():
    tasks.drain_outbox()
    tasks.forget_outbox()
    assert set(JobRun.objects.values_list("job", flat=True)) == {
        "aegir_support.tasks.drain_outbox",
        "aegir_support.tasks.forget_outbox",
    }


@pytest.mark.django_db
def test_old_runs_are_forgotten_but_not_when_a_job_last_went_well():
    old = timezone.now() - timedelta(days=20)
    JobRun.objects.create(job=SWEEP, slot=old, ran_at=old)
    JobRun.objects.create(job=SWEEP, slot=old - MINUTE, ran_at=old - MINUTE)
    JobRun.objects.create(job=SWEEP, slot=old + MINUTE, ran_at=old + MINUTE, failures=1, error="ZeroDivisionError")
    assert jobs.forget() == 2
    assert JobRun.objects.get().slot == old


@pytest.mark.django_db
@pytest.mark.parametrize(
    "facts", [{"failures": 2, "error": "x"}, {"failures": 1, "error": ""}], ids=["more failures than runs", "no error"]
)
def test_a_run_that_cannot_be_is_refused_by_the_database(facts):
    with pytest.raises(IntegrityError), transaction.atomic():
        JobRun.objects.create(job=SWEEP, slot=timezone.now(), runs=1, **facts)


@pytest.mark.django_db(transaction=True)
def test_what_contradicts_itself_is_found_and_named_without_its_rows(tmp_path, monkeypatch, cast):
    """The sentence is true of nothing, so that it finds a row; who reads an alarm need not be who may read the row."""
    jobs.check_invariants()
    sentences = tmp_path / "invariants.sql"
    sentences.write_text("-- Nobody is called as they are.\nSELECT email FROM members_user WHERE name <> '' LIMIT 2;\n")
    monkeypatch.setattr(invariants, "SENTENCES", sentences)
    with pytest.raises(jobs.Finding) as found:
        tasks.check_invariants()
    assert "Nobody is called as they are. (2)" in str(found.value)
    assert "@" not in str(found.value)
    assert "Nobody is called as they are. (2)" in JobRun.objects.of(jobs.INVARIANTS).get().error


# Who notices


@pytest.fixture
def alarmed(settings, monkeypatch):
    settings.ALARM_EMAIL = ["ops@aegir.example"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    monkeypatch.setattr(watchdog._State, "started_at", timezone.now() - timedelta(hours=1))
    monkeypatch.setattr(watchdog._State, "jobs_silent", False)
    mail.outbox = []
    JobRun.objects.all().delete()
    Outbox.objects.all().delete()
    return lambda: [message.subject.partition(": ")[2] for message in mail.outbox]


@pytest.mark.django_db
def test_silence_is_told_once_and_its_end_once(alarmed):
    with time_machine.travel(timezone.now() - timedelta(minutes=4)):
        jobs.beat()
    for _ in range(3):
        watchdog.look()
    assert alarmed() == ["jobs are silent"]
    jobs.beat()
    for _ in range(3):
        watchdog.look()
    assert alarmed() == ["jobs are silent", "jobs run again, the heartbeat is back"]
    assert len({message.extra_headers["Message-ID"] for message in mail.outbox}) == 2


@pytest.mark.django_db
def test_a_heart_that_beats_alarms_nobody(alarmed, settings):
    with time_machine.travel(timezone.now() - timedelta(minutes=2, seconds=50)):
        jobs.beat()
    watchdog.look()
    assert alarmed() == []
    settings.HEARTBEAT_ALARM_MINUTES = 2
    watchdog.look()
    assert alarmed() == ["jobs are silent"]


@pytest.mark.django_db
def test_after_everything_was_stopped_the_jobs_get_their_time(alarmed, monkeypatch):
    with time_machine.travel(timezone.now() - timedelta(hours=9)):
        jobs.beat()
    monkeypatch.setattr(watchdog._State, "started_at", timezone.now())
    watchdog.look()
    assert alarmed() == []
    with time_machine.travel(timezone.now() + timedelta(minutes=4)):
        watchdog.look()
    assert alarmed() == ["jobs are silent"]


@pytest.mark.django_db
def test_jobs_that_never_ran_are_silent_too(alarmed):
    watchdog.look()
    assert alarmed() == ["jobs are silent"]
    assert "No job has run yet" in mail.outbox[0].body


@pytest.mark.django_db(transaction=True)
def test_one_of_many_processes_tells(alarmed):
    def claim(_):
        try:
            return watchdog._is_mine_to_tell(watchdog.SILENCE, "No job has run.")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as processes:
        claims = list(processes.map(claim, range(32)))
    assert claims.count(True) == 1


@pytest.mark.django_db
def test_who_died_before_telling_is_followed_by_the_next(alarmed, settings):
    settings.EMAIL_BACKEND = "tests.frame.test_heartbeat.NoMailServer"
    watchdog.look()
    assert alarmed() == []
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    watchdog.look()
    assert alarmed() == [], "somebody may be telling just now"
    with time_machine.travel(timezone.now() + timedelta(minutes=2, seconds=1)):
        watchdog.look()
        watchdog.look()
    assert alarmed() == ["jobs are silent"]


class NoMailServer:
    def __init__(self, **options):
        pass

    def send_messages(self, messages):
        raise ConnectionRefusedError


@pytest.mark.django_db
def test_an_outbox_that_is_late_or_parked_is_told(alarmed):
    jobs.beat()
    now = timezone.now()
    row = Outbox.objects.create(kind="mail", key="late", payload={"text": "s3cret"}, due_at=now - timedelta(minutes=11))
    Outbox.objects.create(kind="mail", key="soon", payload={}, due_at=now - timedelta(minutes=9))
    watchdog.look()
    assert alarmed() == ["the outbox is late"]
    assert "mail, late" in mail.outbox[0].body
    assert "s3cret" not in mail.outbox[0].body
    Outbox.objects.filter(pk=row.pk).update(parked_at=now, error="SMTPServerDisconnected")
    watchdog.look()
    assert alarmed()[1:] == ["the outbox is in time again", "something in the outbox is parked"]


@pytest.mark.django_db
def test_what_is_parked_later_is_told_as_well_but_not_row_by_row(alarmed):
    jobs.beat()
    start = timezone.now()

    def look_after(minutes, *, parked):
        with time_machine.travel(start + minutes * MINUTE):
            jobs.beat()
            if parked:
                facts = {"payload": {}, "parked_at": timezone.now(), "error": "SMTPServerDisconnected"}
                Outbox.objects.create(kind="mail", key=f"parked after {minutes}", **facts)
            watchdog.look()
            watchdog.look()
        return len(alarmed())

    told = [look_after(0, parked=True), look_after(5, parked=True), look_after(61, parked=False)]
    assert told == [1, 1, 2], "what came in the first hour is told at its end"
    assert "2 rows" in mail.outbox[1].body
    assert [look_after(130, parked=False), look_after(190, parked=True)] == [2, 3]
    assert len({message.extra_headers["Message-ID"] for message in mail.outbox}) == 3


@pytest.mark.django_db
def test_data_that_contradicts_itself_is_told(alarmed):
    jobs.beat()
    now = timezone.now()
    run = {"job": jobs.INVARIANTS, "slot": now, "ran_at": now, "failures": 1}
    JobRun.objects.create(error="Not true in the data, and how often:\nA seat has one turn. (3)", **run)
    watchdog.look()
    assert alarmed() == ["the data contradicts itself"]
    assert "A seat has one turn. (3)" in mail.outbox[0].body
    later = now + timedelta(days=1)
    JobRun.objects.create(job=jobs.INVARIANTS, slot=later, ran_at=later)
    watchdog.look()
    assert alarmed()[1:] == ["the data is consistent again"]


@pytest.mark.django_db
def test_without_an_address_the_log_tells(alarmed, settings, caplog):
    settings.ALARM_EMAIL = []
    watchdog.look()
    assert alarmed() == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert Alarm.objects.filter(told_at=None).count() == 0


@pytest.mark.django_db
def test_who_looks_after_it_sees_it_on_every_page(alarmed, browse, chloe, finn, hal, ana):
    words = "No job has run for some minutes"
    watchdog.look()
    for person, sees in [(chloe, True), (finn, True), (hal, False), (ana, False), (None, False)]:
        assert (words in browse(person).get("/pricing/").content.decode()) is sees
    jobs.beat()
    watchdog.look()
    assert words not in browse(chloe).get("/pricing/").content.decode()


@pytest.mark.django_db
def test_it_costs_a_page_no_question_while_all_is_well(alarmed, browse, chloe, django_assert_num_queries):
    browser = browse(chloe)
    browser.get("/pricing/")
    with connection.execute_wrapper(
        lambda run, sql, params, many, context: asked.append(sql) or run(sql, params, many, context)
    ):
        asked = []
        browser.get("/pricing/")
    assert not any("jobrun" in sql or "alarm" in sql for sql in asked)


@pytest.mark.django_db
def test_an_admin_sees_how_each_job_fares(browse, finn):
    with pytest.raises(ZeroDivisionError), jobs.recorded(SWEEP):
        _ = 1 / 0
    jobs.beat()
    page = browse(finn).get("/admin/aegir_support/jobrun/").content.decode()
    assert "sweep the queue" in page
    assert "ZeroDivisionError" in page
    assert "beat the heart" in page
    assert browse(finn).get("/admin/aegir_support/jobrun/?went=badly").status_code == 200


def test_no_watchdog_in_tests_unless_asked(settings):
    watchdog.start()
    assert watchdog._State.thread is None
    assert json.dumps(settings.WATCHDOG_SECONDS) == "0"


@pytest.mark.django_db
def test_the_runs_are_told_in_plain_names(browse, finn):
    now = timezone.now()
    JobRun.objects.create(job=SWEEP, slot=now, ran_at=now, seconds=0.0141)
    JobRun.objects.create(job="gone.tasks.job", slot=now, ran_at=now, seconds=2.46)
    page = browse(finn).get("/admin/aegir_support/jobrun/").content.decode()
    for there in ["Running it", "14 ms", "2.5 s", "gone.tasks.job", "each night at 03:20 UTC", "every 10 seconds"]:
        assert there in page
    assert ">tickets.tasks.sweep<" not in page
    assert ">sweep the queue<" in page
    found = browse(finn).get("/admin/aegir_support/jobrun/", {"job": SWEEP}).context["cl"].queryset
    assert [run.job for run in found] == [SWEEP]


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        (timedelta(seconds=30), "every 30 seconds"),
        (crontab(), "every minute"),
        (crontab(minute="50"), "each hour at minute 50"),
        (crontab(hour="3", minute="20"), "each night at 03:20 UTC"),
        (crontab(hour="14", minute="5"), "each day at 14:05 UTC"),
    ],
)
def test_a_job_says_when_it_is_due(schedule, told):
    assert jobs.due_in_words(schedule) == told
