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
from django.conf import settings
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
        response = browser.generic(method, path)
        transaction.set_rollback(True)
    assert "Content-Security-Policy" in response, f"{method} {path} has no policy"
    if settings.SESSION_COOKIE_NAME in cookies and not path.startswith("/-/"):
        assert {"private", "no-store"} & set(re.split(", *", response["Cache-Control"])), f"{path} may be kept"
    browser.cookies = cookies
    return response.status_code


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


# Things of Riverbank, by the argument that names them; their addresses tell strangers nothing (404, never 403).
STRANGERS = ["iris", "jo", "cleo"]
# Taking a ticket from the open call is for members, and says so before it looks which ticket is meant.
FOR_MEMBERS = {"tickets/<int:number>/claim/"}


def of_riverbank():
    """Every address of ours that names a thing by its number."""
    for address, rows in table().items():
        if re.search(r"<int:(pk|number)>", address) and not address.startswith(("admin/", "accounts/")):
            yield address, rows


def test_the_table_hides_a_clients_things_from_strangers():
    named, told = 0, []
    for address, rows in of_riverbank():
        for method, statuses in rows.items():
            there = {role: statuses[ROLES.index(role)] for role in STRANGERS}
            named += 1
            if set(there.values()) - {404, 405} and address not in FOR_MEMBERS:
                told.append((address, method, there))
    assert told == []
    assert named >= 60


@pytest.mark.parametrize("role", [*STRANGERS, "edda"])
def test_a_thing_of_another_client_answers_as_one_that_does_not_exist(cast, scene, role):
    """Where a stranger gets a status for what is there, the same address for what is not there gets the same."""
    browser = dict(zip(ROLES, browsers(cast), strict=True))[role]
    nothing = dict.fromkeys(scene, 999_999_999)
    differs = []
    for address, rows in of_riverbank():
        for method in rows:
            there = answer(browser, method, example(address, scene))
            missing = answer(browser, method, example(address, nothing | {"called": 999_999_999}))
            differs += [(address, method, there, missing)] if there != missing else []
    assert differs == []


@pytest.mark.parametrize("role", ["hal", "ana", "edda", "finn"])
def test_no_private_page_answers_by_a_name_that_a_cache_would_keep(cast, scene, role):
    """`/home/lib.js` must not be the home page: a cache that keeps scripts would hand it to everybody."""
    browser = dict(zip(ROLES, browsers(cast), strict=True))[role]
    kept, place = [], ROLES.index(role)
    for address, rows in table().items():
        is_public = rows["GET"][ROLES.index("visitor")] == 200
        if rows["GET"][place] != 200 or is_public or (address.startswith("admin/") and "<" in address):
            continue
        for ending in ["lib.js", "x.css", ";x.png", "%2flib.js", "%0alib.js", "%3flib.js", "lib.js/"]:
            status = answer(browser, "GET", example(address, scene) + ending)
            kept += [(address, ending)] if status == 200 else []
    assert kept == []
