"""What the settings make of the environment in production."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings as django_settings

NAMED = {
    "DEPLOYMENT": "production",
    "SECRET_KEY": "x" * 60,
    "SITE_URL": "https://support.example",
    "ALLOWED_HOSTS": "support.example",
    "DATABASE_URL": "postgresql:///none",
    "REDIS_URL": "redis://localhost:1",
    "EMAIL_HOST": "localhost",
    "DEFAULT_FROM_EMAIL": "support@aegir.example",
    "FILES_DIR": "/nowhere",
}
TELL = """
import json, sys
from aegir_support import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))
"""


def production(*names, **variables):
    """These settings, as production has them with these variables besides the ones it must name."""
    env = {"PATH": os.environ["PATH"], **NAMED, **variables}
    words = [sys.executable, "-c", TELL, *names]
    done = subprocess.run(words, env=env, cwd=django_settings.BASE_DIR, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("redirect", ["yes", "no"])
def test_cookies_stay_on_https_whoever_redirects(redirect):
    cookies = production("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", SECURE_SSL_REDIRECT=redirect)
    assert set(cookies.values()) == {True}


def test_no_rule_for_other_host_names_unless_it_is_asked_for():
    names = ["SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD"]
    assert list(production(*names).values()) == [31_536_000, False, False]
    asked = {"SECURE_HSTS_SECONDS": "3600", "SECURE_HSTS_INCLUDE_SUBDOMAINS": "yes", "SECURE_HSTS_PRELOAD": "yes"}
    assert list(production(*names, **asked).values()) == [3600, True, True]


def test_time_limits_may_be_left_to_the_database():
    limits = {f"DATABASE_{what}_TIMEOUT": "" for what in ["STATEMENT", "LOCK", "IDLE"]}
    assert "-c lock_timeout=3s" in production("DATABASES")["DATABASES"]["default"]["OPTIONS"]["options"]
    assert "options" not in production("DATABASES", **limits)["DATABASES"]["default"]["OPTIONS"]


def test_production_keeps_nothing_of_what_was_mailed():
    assert production("OUTBOX_KEEP_PAYLOAD") == {"OUTBOX_KEEP_PAYLOAD": False}


def test_no_folder_of_production_belongs_to_the_demo():
    assert "demo" not in production("LOCAL_DIR")["LOCAL_DIR"].rpartition("/")[2]
