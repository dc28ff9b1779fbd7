"""Nobody forgets an address: `access.csv` says, for every URL × method × role, what status it answers.

An address that is not in the table, a row for one that is gone, or an argument without an example fails. When a row is
wrong, the failure prints it as it is now: copy it only after asking whether that is right.
"""

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver

from tests.conftest import is_still_them

TABLE = Path(__file__).parent / "access.csv"
ROLES = ["visitor", "hal", "gita", "iris", "ana", "bo", "chloe", "edda", "finn", "jo", "cleo"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
ADMIN_METHODS = ["GET", "POST"]  # Django's admin answers the others as it answers GET


def addresses(patterns=None, prefix=""):
    """Every address of the site as it is written in the URL files."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from addresses(pattern.url_patterns, route)


def table():
    """{address: {method: [status for each role]}}; a row may speak for several methods."""
    rows = defaultdict(dict)
    with TABLE.open(newline="") as lines:
        for row in csv.DictReader(lines):
            for method in row["method"].split():
                rows[row["address"]][method] = [int(row[role]) for role in ROLES]
    return dict(rows)


def test_the_table_names_every_address_and_no_other():
    listed, there = set(table()), set(addresses())
    assert listed == there, f"missing: {sorted(there - listed)}, gone: {sorted(listed - there)}"


def test_the_table_names_every_method():
    assert {address for address, rows in table().items() if set(rows) != set(methods_of(address))} == set()


def example(address, scene):
    """The path of an address, with this scene's things in it."""
    arguments = {
        **scene,
        "uidb36": "1",
        "key": "set-password" if "reset" in address else "unknown",
        "app_label": "billing",
        "content_type_id": ContentType.objects.get(model="client").pk,
        "url": "nowhere",
    }
    if "/claim/" in address:
        arguments["number"] = scene["called"]
    if address.startswith("contacts/"):
        arguments["pk"] = scene["contact"]
    if address.startswith("attachments/"):
        arguments["pk"] = scene["attachment"]
    if "content_type_id" in address:
        arguments["object_id"] = 1
    elif "object_id" in address:
        app, model = address.split("/")[1:3]
        there = apps.get_model(app, model).objects.first()
        arguments["object_id"] = there.pk if there else 1
    path = re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda m: str(arguments[m[1]]), address)
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda m: str(arguments[m[1]]), path)
    return "/" + re.sub(r"[\^$\\]", "", path)


def browsers(cast):
    for role in ROLES:
        browser = Client(raise_request_exception=False)
        if role != "visitor":
            who = getattr(cast, role)
            user = getattr(who, "user", who)
            browser.force_login(user)
            is_still_them(browser, user)  # else most of what they may do would begin with that question
        yield browser


def answer(browser, method, path):
    cookies = browser.cookies.copy()
    with transaction.atomic():  # so that a POST that does something does it to nobody else
        status = browser.generic(method, path).status_code
        transaction.set_rollback(True)
    browser.cookies = cookies
    return status


def found(address, scene, roles):
    path = example(address, scene)
    return {method: [answer(browser, method, path) for browser in roles] for method in methods_of(address)}


def rows(address, there):
    """The lines of the table that say what is there, methods with the same answers together."""
    together = defaultdict(list)
    for method, statuses in there.items():
        together[tuple(statuses)].append(method)
    return [",".join([address, " ".join(methods), *map(str, each)]) for each, methods in together.items()]


def methods_of(address):
    return ADMIN_METHODS if address.startswith("admin/") else METHODS


def part_of(address):
    """The part of the site an address is in; the admin by app."""
    return "/".join(address.split("/")[: 2 if address.startswith("admin") else 1])


PARTS = sorted({part_of(address) for address in table()})


@pytest.mark.parametrize("part", PARTS)
def test_access(cast, scene, part):
    roles = list(browsers(cast))
    wrong = []
    for address, expected in table().items():
        if part_of(address) == part:
            there = found(address, scene, roles)
            wrong += rows(address, there) if there != expected else []
    assert wrong == []
