"""Nothing secret is in logs, metrics, broker, job rows, deeds, error reports or error pages (G29).

Secrets that occur nowhere else are planted in a website with production's settings, a journey is walked through it that
meets every kind of failure, and then each of them is looked for in everything that others than its owner may read.
"""

import base64
import http.client
import re
import secrets
import socket
import time
import uuid
from contextlib import contextmanager
from urllib.parse import quote, urlencode

import pytest
import redis
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import override_settings

from aegir_support.models import JobRun, Outbox
from billing.models import Grant
from tests.faults.programs import Programs, answers, wait_for
from tests.sentry_server import sentry_server
from tickets.models import Ticket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


class Canaries(dict):
    """{what it is: its value}."""

    def plant(self, what, value=None):
        self[what] = value or f"kanarie{secrets.token_hex(10)}"
        return self[what]

    def in_(self, text):
        """Which of them are in the text, as they are or as an address or a header writes them."""
        return {
            what
            for what, value in self.items()
            if value in text or quote(value) in text or base64.b64encode(value.encode()).decode().rstrip("=") in text
        }


class Browser:
    """A browser behind our proxy, with cookies; what it is shown with an error status is kept in `error_pages`."""

    def __init__(self, port, error_pages):
        self.port = port
        self.cookies = {}
        self.error_pages = error_pages

    def get(self, address, **headers):
        return self._ask("GET", address, None, headers)

    def post(self, address, form=None, files=None, **headers):
        self.cookies.setdefault("csrftoken", secrets.token_hex(16))
        headers = {"X-CSRFToken": self.cookies["csrftoken"], "Referer": "https://support.example/", **headers}
        if files:
            edge = secrets.token_hex(8)
            headers["Content-Type"] = f"multipart/form-data; boundary={edge}"
            return self._ask("POST", address, multipart(edge, form or {}, files), headers)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self._ask("POST", address, urlencode(form or {}).encode(), headers)

    def _ask(self, method, address, body, headers):
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        facts = {
            "Host": "support.example",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "192.0.2.7",
            "Cookie": cookies,
        }
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            asking.request(method, address, body, facts | headers)
            answer = asking.getresponse()
            page = answer.read().decode(errors="replace")
        finally:
            asking.close()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        if answer.status >= 400 and answer.status != 422:
            self.error_pages.append(page)
        return answer.status, answer.headers.get("Location", ""), page


def multipart(edge, form, files):
    start = f"--{edge}\r\nContent-Disposition: form-data; name="
    body = "".join(f'{start}"{name}"\r\n\r\n{value}\r\n' for name, value in form.items()).encode()
    for field, name, content in files:
        head = f'{start}"{field}"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + f"--{edge}--\r\n".encode()


class Site:
    """Web server, worker and beat with planted secrets."""

    def __init__(self, folder, broker, sink, sentry, canaries, **leak):
        secret = canaries.plant
        database = connection.settings_dict
        port = f"&port={database['PORT']}" if database["PORT"] else ""
        host = f"host={quote(database['HOST'], safe='')}{port}"
        user = f"{database['USER']}:{secret('the database password')}"
        url = f"postgresql://{user}@/{database['NAME']}?{host}"
        canaries.plant("the key of the error reports", sentry.key)
        self.token = secret("the token of the metrics")
        self.programs = Programs(
            folder,
            broker,
            sink,
            SECRET_KEY=secret("the secret key") + secret("more of the secret key") + 20 * "x",
            EMAIL_HOST_USER="support",
            EMAIL_HOST_PASSWORD=secret("the mail password"),
            EMAIL_USE_TLS="no",
            METRICS_TOKEN=self.token,
            SENTRY_DSN=sentry.dsn,
            OIDC_ISSUER="https://127.0.0.1:9/realms/coop",
            OIDC_NAME="The realm",
            OIDC_CLIENT_ID="support",
            OIDC_CLIENT_SECRET=secret("the secret of the log-in elsewhere"),
            S3_BUCKET="files",
            S3_ENDPOINT_URL="http://127.0.0.1:9",
            S3_REGION="nowhere",
            S3_ACCESS_KEY_ID="support",
            S3_SECRET_ACCESS_KEY=secret("the secret of the storage"),
            HEARTBEAT_URL=f"https://127.0.0.1:9/ping/{secret('the address of the heartbeat')}",
            ALARM_EMAIL="ops@aegir.example",
            WATCHDOG_SECONDS="1",
            METRICS_DIR=str(folder / "metrics"),
            LOG_LEVEL="DEBUG",
            SITE_URL="https://support.example",
            ALLOWED_HOSTS="support.example",
            DEFAULT_FROM_EMAIL="support@aegir.example",
            TRUSTED_PROXY_COUNT="1",
            DATABASE_STATEMENT_TIMEOUT="5s",
            DATABASE_LOCK_TIMEOUT="1s",
            **leak,
        )
        self.programs.variables |= {"DEPLOYMENT": "production", "DATABASE_URL": url}
        self.port = self._web()

    def _web(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        serving = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--blocking-threads", "4"]
        granian = ["granian", "--interface", "wsgi", "tests.faults.leaky:application", "--no-ws", *serving]
        web = self.programs._start("web", granian)
        web.wait_until(lambda: answers(port), within=60)
        return port

    def words(self, broker, sentry, error_pages):
        """All that others than its owner may read, by where it is."""
        metrics = Browser(self.port, []).get("/-/metrics", Authorization=f"Bearer {self.token}")
        assert metrics[0] == 200
        logs = {path.name: path.read_text(errors="replace") for path in self.programs.folder.glob("*.log")}
        return {
            **logs,
            "metrics": metrics[2],
            "broker": kept_by(broker),
            "outbox": "\n".join(f"{row.key} {row.error}" for row in Outbox.objects.all()),
            "jobs": "\n".join(f"{run.job} {run.error}" for run in JobRun.objects.all()),
            "deeds": rows_of("aegir_support_deed"),
            "error reports": b"\n".join(sentry.taken).decode(),
            "error pages": "\n".join(error_pages),
        }


def kept_by(broker):
    """Every key and value."""
    found = []
    with redis.Redis.from_url(broker.url) as valkey:
        for key in valkey.scan_iter():
            kind = valkey.type(key)
            read = {
                b"string": valkey.get,
                b"hash": valkey.hgetall,
                b"list": lambda key: valkey.lrange(key, 0, -1),
                b"set": valkey.smembers,
                b"zset": lambda key: valkey.zrange(key, 0, -1),
            }[kind]
            found.append(f"{key} {read(key)}")
    text = "\n".join(found)
    bodies = re.findall(r'"body": "([A-Za-z0-9+/=]+)"', text)
    return text + "\n".join(base64.b64decode(body).decode(errors="replace") for body in bodies)


def rows_of(table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT row::text FROM {table} AS row")  # noqa: S608 (ours)
        return "\n".join(row for (row,) in cursor.fetchall())


@contextmanager
def refused_by_the_database(table, column, word):
    """Rows that hold this word are refused, and PostgreSQL's error tells the whole row."""
    with connection.cursor() as cursor:
        check = f"CHECK ({column}::text NOT LIKE '%{word}%') NOT VALID"
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT refused {check}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT refused")


@contextmanager
def gone(table):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_gone")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table}_gone RENAME TO {table}")


@pytest.fixture
def planted(tmp_path, broker, sink):
    canaries = Canaries()
    sites = []

    with sentry_server() as sentry:

        def start(**leak):
            sites.append(Site(tmp_path, broker, sink, sentry, canaries, **leak))
            return sites[-1], canaries, sentry

        yield start
        for site in sites:
            site.programs.stop()


def password_of(person, canaries, what):
    user = getattr(person, "user", person)
    value = canaries.plant(what)
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"]):
        user.password = make_password(value)
    user.save(update_fields=["password"])
    return value


def log_in(browser, person, password, second=None):
    """Returns the session's key, which is a secret as well."""
    user = getattr(person, "user", person)
    browser.get("/accounts/login/")
    status, to, _page = browser.post("/accounts/login/", {"login": user.email, "password": password})
    assert status == 302, status
    if second:
        assert "2fa" in to
        browser.get("/accounts/2fa/authenticate/")
        status, to, _page = browser.post("/accounts/2fa/authenticate/", {"code": second})
        assert status == 302, status
    return browser.cookies["sessionid"]


def code_now(secret):
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def link_in_mail(key, pattern):
    """The token of a link that waits in the outbox; our mail server refuses to let us in, so all of it waits."""
    row = Outbox.objects.filter(key__startswith=key).order_by("-pk").first()
    return re.search(pattern, row.payload["text"])[1] if row else None


def test_no_secret_is_where_others_may_read(planted, broker, cast):
    site, canaries, sentry = planted()
    journey = Journey(site, canaries, cast)
    journey.walk()
    time.sleep(2)
    there = site.words(broker, sentry, journey.error_pages)
    for name, text in there.items():
        print(f"{name}: {len(text)} characters")
    print(f"{len(canaries)} canaries, {len(sentry.events)} reports, {len(journey.error_pages)} error pages")
    assert len(canaries) >= 20
    assert len(sentry.events) >= 3
    assert JobRun.objects.failed().exists()
    assert "SMTP" in there["outbox"]
    for text in there.values():
        assert text
    assert {name: found for name, text in there.items() if (found := canaries.in_(text))} == {}


class Journey:
    """A day on which everything happens."""

    def __init__(self, site, canaries, cast):
        self.site = site
        self.canaries = canaries
        self.cast = cast
        self.error_pages = []
        Grant.objects.update(tickets=None)

    def browser(self):
        browser = Browser(self.site.port, self.error_pages)
        browser.cookies["csrftoken"] = self.canaries.plant(f"CSRF token {uuid.uuid4()}", secrets.token_hex(16))
        return browser

    def walk(self):
        programs = self.site.programs
        programs.worker()
        programs.beat("tests.faults.hurried")
        self.strangers()
        hal = self.client()
        ana = self.member()
        self.words(hal, ana)
        self.failures(hal)
        self.admin()
        self.new_passwords(hal)

    def strangers(self):
        plant = self.canaries.plant
        visitor = self.browser()
        wrong = {"login": "hal@riverbank.example", "password": plant("a wrong password")}
        assert visitor.post("/accounts/login/", wrong)[0] == 200
        assert visitor.get(f"/offers/{plant('a made-up token')}/", Authorization=f"Bearer {plant('a header')}")[0] < 500
        assert visitor.get(f"/nowhere/{plant('a made-up path')}/?q={plant('a query')}")[0] == 404
        assert visitor.get("/-/metrics", Authorization=f"Bearer {plant('a wrong token of the metrics')}")[0] == 404
        assert visitor.get("/pricing/", Host=f"{plant('a host name')}.example")[0] == 400
        assert visitor.post("/accounts/login/", wrong, **{"X-CSRFToken": plant("a wrong CSRF token")[:32]})[0] == 403
        visitor.get("/accounts/oidc/login/")
        visitor.get(f"/accounts/oidc/login/callback/?state=x&code={plant('a code of the log-in elsewhere')}")
        visitor.get("/accounts/password/reset/key/1-" + plant("a made-up reset token") + "/")

    def client(self):
        hal = self.browser()
        password = password_of(self.cast.hal, self.canaries, "a client's password")
        self.canaries.plant("a client's session", log_in(hal, self.cast.hal, password))
        return hal

    def member(self):
        ana = self.browser()
        password = password_of(self.cast.ana, self.canaries, "a member's password")
        secret = self.canaries.plant("a member's TOTP secret", base64.b32encode(secrets.token_bytes(20)).decode())
        TOTP.activate(self.cast.ana.user, secret)
        recovery = RecoveryCodes.activate(self.cast.ana.user).generate_codes()[0]
        self.canaries.plant("a recovery code", recovery)
        wrong = self.browser()
        wrong.post("/accounts/login/", {"login": "ana@lima.example", "password": password})
        wrong.post("/accounts/2fa/authenticate/", {"code": self.canaries.plant("a wrong second factor")})
        self.canaries.plant("a member's session", log_in(ana, self.cast.ana, password, code_now(secret)))
        log_in(self.browser(), self.cast.ana, password, recovery)
        return ana

    def words(self, hal, ana):
        plant = self.canaries.plant
        filing = {
            "key": uuid.uuid4(),
            "subject": plant("a subject"),
            "description": plant("words of a client"),
            "severity": 3,
            "channel": "portal",
        }
        assert hal.post("/tickets/new/", filing)[0] == 302
        number = Ticket.objects.get(subject=filing["subject"]).number
        bad = [("attachments", f"{plant('a file name')}.png", b"\x89PNG\r\n\x1a\n" + plant("words of a file").encode())]
        hal.post(f"/tickets/{number}/reply/", {"key": uuid.uuid4(), "body": plant("words with a file")}, bad)
        token = link_in_mail("offer_made:", r"/offers/([^/\s]+)/")
        assert token
        plant("the token of an offer", token)
        assert ana.get(f"/offers/{token}/")[0] == 200
        [offer] = Ticket.objects.get(pk=number).offers.open()
        assert ana.post(f"/offers/{offer.pk}/accept/")[0] == 302
        note = {"key": uuid.uuid4(), "body": plant("words of a note")}
        assert ana.post(f"/tickets/{number}/note/", note)[0] == 302
        reply = {"key": uuid.uuid4(), "body": plant("words of a reply")}
        assert ana.post(f"/tickets/{number}/reply/", reply)[0] == 302
        self.number = number

    def failures(self, hal):
        """Views that fail with somebody's words in their hands, jobs that fail, a database that makes one wait."""
        plant = self.canaries.plant
        address = f"/tickets/{self.number}/reply/"

        def reply(what):
            return {"key": uuid.uuid4(), "body": plant(what)}

        words = reply("words that the database refuses")
        with refused_by_the_database("tickets_message", "body", words["body"]):
            assert hal.post(address, words)[0] == 500
        with gone("tickets_message"):
            assert hal.post(address, reply("words without a table"))[0] == 500
            assert hal.get(f"/tickets/{self.number}/?q={plant('a query that fails')}")[0] == 500
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM tickets_ticket WHERE number = %s FOR UPDATE", [self.number])
            try:
                assert hal.post(address, reply("words that wait too long"))[0] == 503
            finally:
                cursor.execute("ROLLBACK")
        with gone("tickets_offer"):
            assert wait_for(lambda: JobRun.objects.of("tickets.tasks.sweep").failed().exists(), seconds=40)

    def admin(self):
        finn = self.browser()
        password = password_of(self.cast.finn, self.canaries, "an admin's password")
        secret = self.canaries.plant("an admin's TOTP secret", base64.b32encode(secrets.token_bytes(20)).decode())
        TOTP.activate(self.cast.finn, secret)
        self.canaries.plant("an admin's session", log_in(finn, self.cast.finn, password, code_now(secret)))
        for page in ["", "aegir_support/outbox/", "aegir_support/jobrun/", "aegir_support/deed/", "members/user/"]:
            finn.get(f"/admin/{page}")
        assert finn.get("/admin/aegir_support/outbox/?payload__text__startswith=x")[0] < 500

    def new_passwords(self, hal):
        plant = self.canaries.plant
        invite = "from members import actions; actions.invite('new@riverbank.example', 'New Person')"
        self.site.programs.run("manage.py", "shell", "-c", invite)
        token = link_in_mail("invitation:", r"/reset/key/[0-9a-z]+-([^/\s]+)/")
        plant("the token of an invitation", token)
        invited = self.browser()
        uid = link_in_mail("invitation:", r"/reset/key/([0-9a-z]+)-")
        _status, to, _page = invited.get(f"/accounts/password/reset/key/{uid}-{token}/")
        chosen = plant("a chosen password")
        assert invited.post(to, {"password1": chosen, "password2": chosen})[0] == 302
        assert self.browser().post("/accounts/password/reset/", {"email": "hal@riverbank.example"})[0] == 302

        theirs = Outbox.objects.filter(kind="mail", payload__to__contains=["hal@riverbank.example"]).order_by("-pk")

        def reset_link():
            found = [re.search(r"/reset/key/([0-9a-z]+)-([^/\s]+)/", row.payload["text"]) for row in theirs.all()]
            return next(filter(None, found), None)

        assert wait_for(reset_link, seconds=40)
        uid, token = reset_link().groups()
        plant("the token of a reset", token)
        forgetful = self.browser()
        _status, to, _page = forgetful.get(f"/accounts/password/reset/key/{uid}-{token}/")
        chosen = plant("a new password")
        assert forgetful.post(to, {"password1": chosen, "password2": chosen})[0] == 302


@pytest.mark.parametrize("leak", ["password", "details"])
def test_a_leak_is_found(planted, broker, cast, leak):
    """The control: what the walk above looks for, it finds where it is."""
    site, canaries, sentry = planted(LEAK=leak)
    journey = Journey(site, canaries, cast)
    hal = journey.client()
    facts = {"description": "x", "severity": 3, "channel": "portal"}
    filing = {"key": uuid.uuid4(), "subject": canaries.plant("a subject"), **facts}
    with refused_by_the_database("tickets_ticket", "subject", filing["subject"]):
        assert hal.post("/tickets/new/", filing)[0] == 500
    found = canaries.in_(site.words(broker, sentry, journey.error_pages)["web.log"])
    assert found == {{"password": "a client's password", "details": "a subject"}[leak]}
