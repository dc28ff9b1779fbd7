import os
import random
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings
from django.core.mail import EmailMultiAlternatives
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from aegir_support import mail, outbox, tasks
from aegir_support.addresses import broker_url
from aegir_support.embedded import Valkey
from aegir_support.models import Outbox

PROJECT_TEMPLATES = django_settings.TEMPLATES


@pytest.fixture(autouse=True)
def letters(settings):
    """Messages to try: `offer` and `plain`."""
    words = {
        "emails/offer.subject.txt": "Ticket {{ number }}\n waits for {{ name }}\n",
        "emails/offer.txt": "\nDear {{ name }}, see {{ site_url }}/queue/\n\n{{ project_name }}\n",
        "emails/offer.html": "<p>Dear {{ name }}</p>",
    }
    loaders = [("django.template.loaders.locmem.Loader", words)]
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": loaders}}
    ]


@pytest.fixture(autouse=True)
def rested_broker(monkeypatch):
    monkeypatch.setattr(outbox._Broker, "quiet_until", 0.0)
    monkeypatch.setattr(outbox._Broker, "complain_after", 0.0)


def send_offer(number=41, to="ana@lima.example", **options):
    mail.send("offer", to, {"number": number, "name": "Ana & Co <x>"}, key=f"offer:{number}", **options)


@pytest.fixture
def calls(monkeypatch):
    """Rows of the kind "call" only count themselves; "poison" fails."""
    counted = Counter()

    def fail(row):
        counted[row.key] += 1
        raise RuntimeError("broken\0 for good")

    monkeypatch.setitem(outbox.handlers, "call", lambda row: counted.update([row.key]))
    monkeypatch.setitem(outbox.handlers, "poison", fail)
    return counted


# What is written


@pytest.mark.django_db(transaction=True)
def test_a_message_is_written_with_its_reason_and_sent_afterwards(mailoutbox):
    with transaction.atomic():
        send_offer()
        assert mailoutbox == []
    assert outbox.drain() == 1
    assert [message.to for message in mailoutbox] == [["ana@lima.example"]]
    assert Outbox.objects.done().count() == 1
    assert outbox.drain() == 0


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_sent(mailoutbox):
    with transaction.atomic():
        send_offer()
        transaction.set_rollback(True)
    assert outbox.drain() == 0
    assert mailoutbox == []


@pytest.mark.django_db
def test_the_same_event_is_told_once():
    with transaction.atomic():
        send_offer(41)
        send_offer(41, to="bo@veldwerk.example")
        send_offer(42)
        assert Outbox.objects.count() == 2  # and the transaction is still whole
    assert Outbox.objects.get(key="offer:41").payload["to"] == ["ana@lima.example"]


@pytest.mark.django_db
def test_a_message_keeps_what_was_true_when_it_was_written():
    send_offer()
    payload = Outbox.objects.get().payload
    assert payload["subject"] == "Ticket 41 waits for Ana & Co <x>"
    assert payload["text"].startswith("Dear Ana & Co <x>, see http://")
    assert payload["html"] == "<p>Dear Ana &amp; Co &lt;x&gt;</p>"


@pytest.mark.django_db
def test_a_message_of_others_goes_the_same_way(mailoutbox):
    message = EmailMultiAlternatives(
        "Reset\nBcc: x@evil.example", "words", "Ægir <a@aegir.example>", ["ana@lima.example"]
    )
    message.attach_alternative("<p>words</p>", "text/html")
    mail.enqueue_message(message, key="account:1")
    mail.deliver(Outbox.objects.get())
    assert mailoutbox[0].subject == "Reset Bcc: x@evil.example"
    assert mailoutbox[0].from_email == "Ægir <a@aegir.example>"
    assert mailoutbox[0].alternatives[0].content == "<p>words</p>"


@pytest.mark.django_db
def test_many_rows_of_one_transaction_nudge_once(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        send_offer(1)
        send_offer(2)
        with transaction.atomic():
            send_offer(3)
    assert callbacks == [outbox.nudge]


@pytest.mark.django_db
def test_a_savepoint_that_is_taken_back_takes_its_nudge_along(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        with transaction.atomic():
            send_offer(1)
            transaction.set_rollback(True)
        send_offer(2)
    assert callbacks == [outbox.nudge]


# What is sent


@pytest.mark.django_db
def test_a_message_says_that_a_program_sent_it(mailoutbox):
    send_offer(headers={"Reply-To": "support@aegir.example"})
    mail.deliver(Outbox.objects.get())
    sent = mailoutbox[0].message()
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["X-Auto-Response-Suppress"] == "All"
    assert sent["Reply-To"] == "support@aegir.example"
    assert [part.get_content_type() for part in sent.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.django_db
def test_every_attempt_carries_one_message_id_and_every_message_its_own(mailoutbox):
    send_offer(41)
    send_offer(42)
    for row in [*Outbox.objects.all(), *Outbox.objects.all()]:
        mail.deliver(row)
    ids = Counter(message.message()["Message-ID"] for message in mailoutbox)
    assert sorted(ids.values()) == [2, 2]
    assert all(found.startswith("<outbox-") and found.endswith("@localhost>") for found in ids)


BREAKS = ["\n", "\r", "\r\n", "\n ", "\u2028", "\x0b", "\x85", "\0\n"]


@pytest.mark.django_db
@pytest.mark.parametrize("line_break", BREAKS)
def test_no_word_becomes_a_header(mailoutbox, line_break):
    evil = f"x{line_break}Bcc: victim@evil.example{line_break}{line_break}<b>body</b>"
    mail.send(
        "offer", f"ana@lima.example{line_break}", {"number": evil, "name": evil}, key="1", headers={"X-Reason": evil}
    )
    mail.deliver(Outbox.objects.get())
    sent = message_from_bytes(mailoutbox[0].message().as_bytes(), policy=policy.default)
    assert sent["Bcc"] is None
    assert sent["To"] == "ana@lima.example"
    assert "Bcc: victim@evil.example" in sent["Subject"]
    assert set(mailoutbox[0].recipients()) == {"ana@lima.example"}


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["X\nBcc", "X: y", "", "X Y", "Ä"])
def test_a_header_has_a_proper_name(name):
    with pytest.raises(ValueError, match="no name"):
        send_offer(headers={name: "value"})


# What fails


@pytest.mark.django_db
def test_a_poison_row_is_tried_for_two_days_then_parked_and_delays_nobody(calls, time_machine, caplog):
    start = timezone.now()
    time_machine.move_to(start, tick=False)
    outbox.put("poison", {}, key="poison")
    waits = []
    for attempt in range(55):
        outbox.put("call", {}, key=f"call:{attempt}")
        outbox.drain()
        assert calls[f"call:{attempt}"] == 1
        row = Outbox.objects.get(key="poison")
        waits.append((row.due_at - timezone.now()).total_seconds())
        tried_at = timezone.now()
        time_machine.move_to(row.due_at + timedelta(seconds=1), tick=False)
    assert waits[:54] == [30, 60, 120, 240, 480, 960, 1920] + 47 * [3600]
    assert timedelta(days=2) < tried_at - start < timedelta(days=2, minutes=10)
    assert Outbox.objects.parked().get() == row
    assert row.error == "RuntimeError: broken for good"
    assert calls["poison"] == 55
    assert [record.levelname for record in caplog.records if "parked" in record.getMessage()] == ["ERROR"]
    time_machine.move_to(start + timedelta(days=9), tick=False)
    assert outbox.drain() == 0


@pytest.mark.django_db
def test_a_failed_row_takes_back_what_its_handler_wrote(monkeypatch):
    def half(row):
        Outbox.objects.create(kind="call", key="half", due_at=timezone.now() + timedelta(days=1))
        raise RuntimeError

    monkeypatch.setitem(outbox.handlers, "half", half)
    outbox.put("half", {}, key="whole")
    outbox.drain()
    assert Outbox.objects.get().attempts == 1


@pytest.mark.django_db
def test_a_row_of_an_unknown_kind_is_a_failure_not_a_stop(calls):
    outbox.put("unheard", {}, key="1")
    outbox.put("call", {}, key="2")
    outbox.drain()
    assert Outbox.objects.get(key="1").error == "KeyError: 'unheard'"
    assert calls["2"] == 1


@pytest.mark.django_db(transaction=True)
def test_a_connection_lost_in_a_handler_is_a_failure_not_a_stop(calls, monkeypatch):
    def lose(row):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setitem(outbox.handlers, "lose", lose)
    outbox.put("lose", {}, key="1")
    outbox.put("call", {}, key="2")
    outbox.drain()
    assert Outbox.objects.get(key="1").attempts == 1
    assert calls["2"] == 1


@pytest.mark.django_db
def test_a_parked_row_can_be_sent_again(calls):
    Outbox.objects.create(kind="call", key="parked", payload={}, attempts=55, parked_at=timezone.now(), error="x")
    Outbox.objects.create(kind="call", key="done", payload={}, done_at=timezone.now())
    assert outbox.drain() == 0
    assert outbox.send_again(Outbox.objects.all()) == 1
    outbox.drain()
    assert calls == {"parked": 1}


@pytest.mark.django_db(transaction=True)
def test_a_drain_inside_a_transaction_is_refused():
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        outbox.drain()


@pytest.mark.django_db
def test_one_drain_ends_before_the_work_does(calls):
    for number in range(12):
        outbox.put("call", {}, key=str(number))
    assert outbox.drain(most=10) == 10
    assert outbox.drain(seconds=0) == 0
    assert outbox.drain() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("outbox_is_done_or_parked_never_both", {"done_at": timezone.now(), "parked_at": timezone.now(), "error": "x"}),
        ("outbox_parked_tells_its_error", {"parked_at": timezone.now()}),
        ("outbox_has_kind_and_key", {"key": ""}),
        ("outbox_has_kind_and_key", {"kind": ""}),
        ("key", {"key": "taken"}),
    ],
)
def test_the_database_refuses_what_cannot_be(name, wrong):
    Outbox.objects.create(kind="call", key="taken", payload={})
    with pytest.raises(IntegrityError, match=name):
        Outbox.objects.create(**{"kind": "call", "key": "new", "payload": {}} | wrong)


# What is forgotten


@pytest.mark.django_db
@pytest.mark.parametrize(("keep", "left"), [(False, {}), (True, {"words": "a link"})])
def test_what_a_row_said_is_forgotten_once_it_is_told(calls, settings, keep, left):
    settings.OUTBOX_KEEP_PAYLOAD = keep
    outbox.put("call", {"words": "a link"}, key="told")
    outbox.put("poison", {"words": "a link"}, key="not yet")
    outbox.drain()
    assert Outbox.objects.get(key="told").payload == left
    assert Outbox.objects.get(key="not yet").payload == {"words": "a link"}


@pytest.mark.django_db
def test_rows_are_deleted_a_month_after_they_were_told(time_machine):
    now = timezone.now()
    month = timedelta(days=30)
    for key, facts in {
        "told long ago": {"done_at": now - month},
        "told as long ago": {"done_at": now - month},
        "told since": {"done_at": now - month + timedelta(minutes=1)},
        "parked": {"parked_at": now - month, "error": "x"},
        "waiting": {"created_at": now - month, "due_at": now - month},
    }.items():
        Outbox.objects.create(kind="call", key=key, payload={}, **facts)
    assert [outbox.forget(most=1) for _ in range(3)] == [1, 1, 0]
    assert set(Outbox.objects.values_list("key", flat=True)) == {"told since", "parked", "waiting"}


@pytest.mark.django_db
def test_the_daily_job_forgets():
    Outbox.objects.create(kind="call", key="old", payload={}, done_at=timezone.now() - timedelta(days=31))
    tasks.forget_outbox()
    assert not Outbox.objects.exists()


# Who may look


@pytest.fixture
def admin_browser(client, django_user_model):
    client.force_login(django_user_model.objects.create_superuser(email="root@else.example", password="x" * 12))
    return client


@pytest.mark.django_db
def test_an_admin_sends_parked_rows_again_and_changes_nothing_else(admin_browser, calls, settings):
    settings.TEMPLATES = PROJECT_TEMPLATES
    row = Outbox.objects.create(kind="call", key="parked", payload={}, attempts=55, parked_at=timezone.now(), error="x")
    page = admin_browser.get("/admin/aegir_support/outbox/?state=parked")
    assert page.context["cl"].result_count == 1
    choice = {"action": "send_again", "_selected_action": [row.pk], "index": 0}
    assert admin_browser.post("/admin/aegir_support/outbox/", choice).status_code == 302
    assert Outbox.objects.due(timezone.now()).get() == row
    assert admin_browser.get(f"/admin/aegir_support/outbox/{row.pk}/change/").status_code == 200
    for address in ("add/", f"{row.pk}/delete/"):
        assert admin_browser.post(f"/admin/aegir_support/outbox/{address}", {"post": "yes"}).status_code == 403
    assert admin_browser.post(f"/admin/aegir_support/outbox/{row.pk}/change/", {"key": "new"}).status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["?", "{pk}/change/", "{pk}/history/"])
def test_an_admin_cannot_read_what_is_told(admin_browser, settings, address):
    send_offer(headers={"X-Reason": "secret"})
    settings.TEMPLATES = PROJECT_TEMPLATES
    row = Outbox.objects.get()
    response = admin_browser.get(f"/admin/aegir_support/outbox/{address.format(pk=row.pk)}", follow=True)
    assert "offer:41" in response.content.decode()
    for word in ("Dear Ana", "waits for", "ana@lima.example", "secret"):
        assert word not in response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("guess", ["payload__text__startswith=Dear", "payload__contains=x", "payload__isnull=False"])
def test_an_admin_cannot_guess_what_is_told_by_filters(admin_browser, settings, guess):
    send_offer()
    settings.TEMPLATES = PROJECT_TEMPLATES
    assert admin_browser.get(f"/admin/aegir_support/outbox/?{guess}").status_code == 400


@pytest.mark.django_db
def test_the_demo_shows_its_mail_and_that_of_one_address(client, settings):
    send_offer(41)
    send_offer(42, to="bo@veldwerk.example")
    settings.TEMPLATES = PROJECT_TEMPLATES
    assert [mail["to"] for mail in client.get("/demo/mail/").context["mails"]][:2] == [
        "bo@veldwerk.example",
        "ana@lima.example",
    ]
    alone = client.get("/demo/mail/", {"to": "ana@lima.example"})
    assert {mail["to"] for mail in alone.context["mails"]} == {"ana@lima.example"}
    assert "Ticket 41 waits for Ana &amp; Co &lt;x&gt;" in alone.content.decode()


# Two at once


def drain_by_four(handler):
    """Sixty rows, four drains started together: how often each row was handed out."""
    rows = [Outbox(kind="race", key=str(number), payload={}) for number in range(60)]
    Outbox.objects.bulk_create(rows)
    gate = threading.Barrier(4)

    def drain():
        gate.wait()
        try:
            outbox.drain()
        finally:
            connection.close()

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return handler


@pytest.fixture
def race(monkeypatch):
    counted = Counter()

    def slowly(row):
        time.sleep(random.uniform(0, 0.004))
        counted[row.key] += 1

    monkeypatch.setitem(outbox.handlers, "race", slowly)
    return counted


@pytest.mark.django_db(transaction=True)
def test_drains_at_once_hand_out_each_row_once(race):
    drain_by_four(race)
    assert len(race) == 60
    assert set(race.values()) == {1}
    assert Outbox.objects.done().count() == 60


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_drains_at_once_would_double(race, monkeypatch):
    monkeypatch.setattr(outbox, "_lock_next", lambda: Outbox.objects.due(timezone.now()).order_by("pk").first())
    drain_by_four(race)
    assert max(race.values()) > 1


# Without a broker, and with processes that are killed


def elapsed(work):
    started = time.monotonic()
    work()
    return time.monotonic() - started


@pytest.mark.django_db(transaction=True)
def test_a_page_goes_on_without_a_broker(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", broker_url(f"unix://{tmp_path}/nobody.sock?db=0"))
    assert elapsed(lambda: send_offer(1)) < 4  # Celery by itself takes six
    assert elapsed(lambda: [send_offer(number) for number in range(2, 20)]) < 4
    assert Outbox.objects.waiting().count() == 19
    assert sum("broker away" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.django_db(transaction=True)
def test_a_page_goes_on_while_the_broker_hangs(monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute.sock"))
        mute.listen()
        monkeypatch.setenv("CELERY_BROKER_WRITE_URL", broker_url(f"unix://{tmp_path}/mute.sock?db=0"))
        assert elapsed(send_offer) < 4
    assert Outbox.objects.waiting().count() == 1


class MailServer(socketserver.ThreadingTCPServer):
    """Takes every message. The first is answered only when `answer` is set, long after it was taken."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), MailSession)
        self.taken = []
        self.arrived = threading.Event()
        self.answer = threading.Event()


class MailSession(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 ready")
        while verb := self.rfile.readline(1000).strip().upper()[:4]:
            if verb == b"DATA":
                self.say("354 go on")
                self.take()
            self.say("221 bye" if verb == b"QUIT" else "250 ok")

    def take(self):
        lines = iter(self.rfile.readline, b".\r\n")
        self.server.taken.append(message_from_bytes(b"".join(lines), policy=policy.default))
        self.server.arrived.set()
        self.server.answer.wait(20)

    def say(self, words):
        try:
            self.wfile.write(words.encode() + b"\r\n")
        except OSError:
            self.rfile.close()


@pytest.fixture
def mail_server():
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.answer.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def broker(tmp_path, monkeypatch):
    with Valkey(tmp_path) as valkey:
        monkeypatch.setenv("CELERY_BROKER_WRITE_URL", broker_url(valkey.url))
        yield valkey


@pytest.fixture
def start_worker(tmp_path, broker, mail_server):
    """Starts real workers on this test's database, broker and mail server, and ends those that still run."""
    started = []
    database = connection.settings_dict
    env = os.environ | {
        "DEPLOYMENT": "test",
        "DATABASE_URL": f"postgresql://{database['USER']}@/{database['NAME']}?host={database['HOST']}",
        "REDIS_URL": broker.url,
        "LOCAL_DIR": str(tmp_path),
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(mail_server.server_address[1]),
    }
    words = ["-A", "aegir_support", "worker", "-c", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"]

    def start():
        with (tmp_path / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "celery", *words],
                env=env,
                cwd=django_settings.BASE_DIR,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.append(worker)
        return SimpleNamespace(
            kill=lambda: (os.killpg(worker.pid, signal.SIGKILL), worker.wait()),
            kill_child=lambda: [os.kill(child, signal.SIGKILL) for child in children(worker.pid)],
        )

    yield start
    for worker in started:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(fact, seconds=15):
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_sending_repeats_the_same_message(start_worker, mail_server):
    with transaction.atomic():
        send_offer(41)
    worker = start_worker()
    assert mail_server.arrived.wait(15)
    worker.kill()  # the message has arrived, and nobody has written that down
    assert Outbox.objects.waiting().count() == 1
    mail_server.answer.set()
    send_offer(42)
    start_worker()
    wait_for(lambda: Outbox.objects.done().count() == 2)
    ids = Counter(message["Message-ID"] for message in mail_server.taken)
    assert sorted(ids.values()) == [1, 2]
    assert ids[mail.message_id(Outbox.objects.get(key="offer:41"))] == 2
    assert mail_server.taken[0]["Date"] == mail_server.taken[1]["Date"]
    assert {message["To"] for message in mail_server.taken} == {"ana@lima.example"}


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_killed_workers_lose_nothing_and_tell_nothing_twice_unrecognisably(start_worker, mail_server):
    dice = random.Random(25)
    mail_server.answer.set()
    worker = start_worker()
    for round_ in range(12):
        for number in range(50):
            send_offer(1000 * round_ + number)
        time.sleep(dice.uniform(0, 2.5))
        if dice.random() < 0.6:
            worker.kill_child()
        else:
            worker.kill()
            worker = start_worker()
    outbox.nudge()
    wait_for(lambda: not Outbox.objects.waiting().exists(), seconds=90)
    ids = Counter(message["Message-ID"] for message in mail_server.taken)
    assert set(ids) == {mail.message_id(row) for row in Outbox.objects.all()}
    assert sum(ids.values()) - len(ids) <= 12  # each kill repeats one message at the most
    assert Outbox.objects.done().count() == 600
