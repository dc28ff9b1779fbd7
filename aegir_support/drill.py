"""Prove that a copy can be restored: into a PostgreSQL of its own, in another process, up to a log-in.

What is in use is read and never written. The other process has the copy's addresses in its environment, so nothing it
does can reach the database, the files, the broker or the mail server of the work.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.core.management import call_command
from django.test import Client as Browser
from django.urls import reverse

from . import backup, embedded, invariants, restore

# Where these lead, the copy must not follow.
ELSEWHERE = ("PG", "S3_", "AWS_", "SENTRY_", "CLAMAV_", "OIDC_", "EMAIL_HOST_", "HEARTBEAT_", "ALARM_")
# Nobody listens at port 9, called discard, of any machine in use.
NOWHERE = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": "9"}


def drill(archive: Path | None, say: backup.Say) -> dict[str, Any]:
    """Restore `archive`, or a copy made now, and return the figures. Raises Failed, saying what is not as it was."""
    seconds: dict[str, float] = {}
    with _timed(seconds, "in all"), tempfile.TemporaryDirectory(prefix="restore-drill-") as folder:
        place = Path(folder)
        if archive is None:
            with _timed(seconds, "copy"):
                archive, _manifest = backup.make(place / "copy.tar", say)
        began = time.monotonic()
        with embedded.Postgres(place) as postgres, embedded.Valkey(place) as valkey:
            seconds["servers"] = round(time.monotonic() - began, 1)
            servers = {"DATABASE_URL": postgres.url, "REDIS_URL": valkey.url}
            result = _ask_the_copy(place, archive.resolve(), servers, say)
        size = backup.size(archive)
    if result["found"]:
        raise backup.Failed("The drill has failed.\n" + "\n".join(result["found"]))
    figures: dict[str, Any] = result["figures"]
    return figures | {"bytes": size, "seconds": seconds | result["seconds"]}


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - started, 1)


def _ask_the_copy(place: Path, archive: Path, servers: dict[str, str], say: backup.Say) -> dict[str, Any]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(ELSEWHERE)}
    theirs = servers | {"FILES_DIR": str(place / "files"), "LOCAL_DIR": str(place)}
    answer = place / "answer.json"
    done = subprocess.run(  # noqa: S603 (the command is ours)
        [sys.executable, "manage.py", "restore_drill", str(archive), "--in-the-copy", str(answer)],
        env=mine | NOWHERE | theirs,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        say(line)
    if done.returncode or not answer.exists():
        raise backup.Failed(f"The process that works on the copy has failed:\n{done.stderr.strip()}")
    result: dict[str, Any] = json.loads(answer.read_text())
    return result


def in_the_copy(archive: Path, say: backup.Say) -> dict[str, Any]:
    """What the other process does. `found` are sentences of what is wrong, and none where all is well."""
    seconds: dict[str, float] = {}
    try:
        with _timed(seconds, "restore and compare"):
            manifest = restore.restore(archive, say)
    except backup.Failed as error:
        return {"found": str(error).splitlines()}
    with _timed(seconds, "invariants"):
        if set(manifest["migrations"]) != backup.in_the_code():
            call_command("migrate", verbosity=0, interactive=False)
            say("The copy is brought up to this version of the site.")
        found = invariants.broken()
    if not found:
        say(f"All {len(invariants.invariants())} sentences of invariants.sql are true of it.")
    with _timed(seconds, "log-in"):
        found += log_one_in(say)
    figures = {
        "tables": len(manifest["tables"]),
        "rows": sum(facts["rows"] for facts in manifest["tables"].values()),
        "files": len(manifest["files"]),
        "file bytes": sum(facts["bytes"] for facts in manifest["files"].values()),
    }
    return {"found": found, "figures": figures, "seconds": seconds}


def log_one_in(say: backup.Say) -> list[str]:
    """Give one person of the copy another password, and log in with it as a browser does."""
    people = get_user_model().objects.filter(is_active=True, emailaddress__verified=True, emailaddress__primary=True)
    # With a second factor, which nobody here has, the log-in stops half-way: somebody without one goes first.
    person = people.filter(authenticator=None).order_by("pk").first() or people.order_by("pk").first()
    if person is None:
        return ["There is nobody in the copy who could log in."]
    password = secrets.token_urlsafe(24)
    person.set_password(password)
    person.save(update_fields=["password"])
    site = urlsplit(settings.SITE_URL)
    secure = site.scheme == "https"
    browser = Browser(enforce_csrf_checks=True, raise_request_exception=False, headers=_as_proxied(site))
    login = reverse("account_login")
    browser.get(login, secure=secure)
    token = browser.cookies[settings.CSRF_COOKIE_NAME].value
    form = {"login": person.email, "password": password, "csrfmiddlewaretoken": token}
    answer = browser.post(login, form, secure=secure)
    if is_mfa_enabled(person) and answer.get("Location", "").startswith(reverse("mfa_authenticate")):
        say("One person has logged in as far as the second factor, which everybody here has.")
        return []
    if browser.session.get(SESSION_KEY) != str(person.pk):
        return [f"Nobody could log in: the form was answered with {answer.status_code}."]
    home = browser.get(reverse("members:home"), secure=secure)
    if home.status_code >= 400:
        return [f"The first page after the log-in was answered with {home.status_code}."]
    say("One person has logged in.")
    return []


def _as_proxied(site: SplitResult) -> dict[str, str]:
    """What the proxy says of a browser on the site's own page."""
    return {
        "host": site.netloc,
        "referer": settings.SITE_URL + "/",
        "x-forwarded-proto": site.scheme,
        "x-forwarded-for": "127.0.0.1",
    }
