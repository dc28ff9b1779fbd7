"""A new database with the cast in it, for a server that will be killed: `python -m tests.faults.ground`.

Prints a session of each contact, as JSON.
"""

import json

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.test import Client as Browser  # noqa: E402

from aegir_support import demo  # noqa: E402
from billing.models import Grant  # noqa: E402


def main():
    call_command("migrate", verbosity=0, interactive=False)
    cast = demo.make_cast()
    Grant.objects.update(tickets=None)
    print(json.dumps({name: _session(getattr(cast, name)) for name in ["hal", "gita", "iris"]}))


def _session(person):
    browser = Browser()
    browser.force_login(person.user)
    return browser.cookies["sessionid"].value


if __name__ == "__main__":
    main()
