"""One process of eight that try as fast as they can: `python -m tests.members.hammer <what> <tries> <how>`.

It prints how many of its tries were let through. `how` is `ours`, or `read and write`: what people write first.
"""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aegir_support.settings")
django.setup()

from django.conf import settings  # noqa: E402 (Django is ready only now)
from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.test import Client as Browser  # noqa: E402

from members import limits  # noqa: E402
from members.models import Tally, User  # noqa: E402

settings.RATE_LIMITS = True
TICKET = "/tickets/0/"


def read_and_write(act, who, times, within):
    """As with a cache: get, look, set."""
    key = f"{act}:{who}"[:64]
    row = Tally.objects.filter(key=key).first()
    tries = row.count if row else 0
    if tries >= times:
        return limits.Try(-1, 60.0)
    Tally.objects.update_or_create(key=key, defaults={"count": tries + 1, "ends_at": "2099-01-01T00:00Z"})
    return limits.Try(times - tries - 1, 60.0)


def browser_of(email):
    browser = Browser(raise_request_exception=False)
    if email:
        browser.force_login(User.objects.get(email=email))
    return browser


HAL, GITA = "hal@riverbank.example", "gita@riverbank.example"
ACTS = {
    "log-in": lambda: (browser_of(""), "/accounts/login/", {"login": HAL, "password": "wrong"}),
    "second factor": lambda: (browser_of(HAL), "/accounts/2fa/reauthenticate/", {"code": "000000"}),
    "is it you": lambda: (browser_of(HAL), "/accounts/reauthenticate/", {"password": "wrong"}),
    "reset": lambda: (browser_of(""), "/accounts/password/reset/", {"email": HAL}),
    "invite": lambda: (browser_of(GITA), "/contacts/", {"name": ""}),
    "file": lambda: (browser_of(HAL), "/tickets/new/", {"subject": ""}),
    "reply": lambda: (browser_of(HAL), TICKET + "reply/", {"body": ""}),
    "preview": lambda: (browser_of(HAL), "/tickets/preview/", {"body": "x"}),
    "upload": lambda: (browser_of(GITA), TICKET + "reply/", None),
}


def main(what, tries, how):
    if how != "ours":
        limits.count = read_and_write
    browser, path, form = ACTS[what]()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    passed = 0
    for number in range(tries):
        body = form or {"body": "", "files": SimpleUploadedFile(f"{number}.txt", b"x")}
        passed += browser.post(path, body).status_code != 429
    sys.stdout.write(f"{passed}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
