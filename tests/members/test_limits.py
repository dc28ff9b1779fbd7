"""Limits: what they let through, alone and under eight processes, and what they say beyond."""

import re
import subprocess
import sys

import pytest
from django.db import connection, transaction
from django.test import Client as Browser
from django.utils import timezone

from aegir_support.demo import PASSWORD
from members import limits
from members.models import Tally
from members.tasks import forget
from tests.races.elsewhere import environment, here

# What the narrowest rule of each act lets one person or one address do within its window.
MOST = {
    "log-in": 10,
    "second factor": 10,
    "is it you": 10,
    "reset": 5,
    "invite": 30,
    "file": 20,
    "reply": 60,
    "preview": 60,
    "upload": 60,
}
PROCESSES = 8


@pytest.fixture
def counting(settings):
    settings.RATE_LIMITS = True


def hammer(what, how="ours"):
    """How many of the tries of eight processes at once were let through; together they try twice what is allowed."""
    tries = str(max(-(-2 * MOST[what] // PROCESSES), 4))
    command = [sys.executable, "-m", "tests.members.hammer", what, tries, how]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=here(), env=environment(), **pipes) for _ in range(PROCESSES)]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    passed = [int(process.communicate(timeout=120)[0] or -1000) for process in processes]
    return sum(passed)


@pytest.mark.processes
@pytest.mark.parametrize("acts", [["log-in", "upload"], pytest.param(list(MOST), marks=pytest.mark.long)], ids=len)
@pytest.mark.django_db(transaction=True)
def test_eight_processes_get_no_more_than_one_would(cast, acts):
    assert {act: hammer(act) for act in acts} == {act: MOST[act] for act in acts}


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_with_read_and_write_they_would_get_more(cast):
    assert hammer("upload", "read and write") > MOST["upload"] * 1.2


def test_the_limits_of_the_site_are_those_tried_here():
    declared = [each for each in vars(limits).values() if isinstance(each, limits.Limit)]
    narrowest = {each.act: min(rule.times for rule in each.rules) for each in declared}
    assert {act: narrowest[act] for act in MOST} == MOST
    assert set(narrowest) - set(MOST) == {"passkey", "confirm"}


def guess(browser, address, ip="192.0.2.1"):
    return browser.post("/accounts/login/", {"login": address, "password": "wrong"}, REMOTE_ADDR=ip)


def right(browser, somebody, **more):
    return browser.post("/accounts/login/", {"login": somebody.user.email, "password": PASSWORD, **more})


def test_who_guesses_too_often_is_told_what_is_closed_until_when_and_what_works_meanwhile(counting, hal, time_machine):
    time_machine.move_to(timezone.now().replace(hour=16, minute=32, second=30), tick=False)
    Tally.objects.create(key=limits._key("log-in 1", hal.user.email), count=10, ends_at=after_minutes(9.5))
    answer = right(Browser(), hal, next="/tickets/?late=1")
    page = answer.content.decode()
    assert answer.status_code == 429
    assert 560 <= int(answer["Retry-After"]) <= 571
    assert "Too many tries with this address." in page
    assert re.search(
        r"Log-in by password opens again at 16:4[12] UTC \(in 10 minutes\); a passkey works meanwhile\.", page
    )
    assert "not blocked" not in page
    assert "Try again" not in page
    assert "What you typed" not in page
    assert 'href="/accounts/login/?next=%2Ftickets%2F%3Flate%3D1"' in page
    assert PASSWORD not in page


def after_minutes(minutes):
    # The database has its own clock, which no test moves.
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp() + %s * interval '1 minute'", [minutes])
        return cursor.fetchone()[0]


def test_what_a_provider_opens_is_named(counting, settings, hal):
    settings.OIDC_NAME = "Riverbank"
    page = [guess(Browser(), hal.user.email) for _ in range(11)][-1].content.decode()
    assert "a passkey works meanwhile, and so does log-in with Riverbank." in page


def test_an_address_nobody_has_is_counted_alike(counting, cast):
    answers = [guess(Browser(), "nobody@nowhere.example").status_code for _ in range(11)]
    assert answers == [200] * 10 + [429]


HINT = re.compile(r"<p>([^<]*(?:left with this address|last try)[^<]*)</p>")


@pytest.mark.parametrize("somebody", [True, False])
def test_before_the_last_tries_one_is_told_whether_anybody_has_the_address_or_not(counting, hal, somebody):
    address = hal.user.email if somebody else "nobody@nowhere.example"
    hints = [HINT.findall(guess(Browser(), address).content.decode()) for _ in range(10)]
    assert hints[:7] == [[]] * 7
    closed = r"\d\d:\d\d UTC \(10 minutes\)\."
    after = f"After that, log-in by password waits until {closed}"
    assert re.fullmatch(f"2 tries are left with this address. {after}", hints[7][0])
    assert re.fullmatch(f"One try is left with this address. {after}", hints[8][0])
    assert hints[9][0].startswith("That was the last try. Log-in by password opens again at ")


def test_good_log_ins_lock_nobody_out(counting, hal):
    assert [right(Browser(), hal).status_code for _ in range(25)] == [302] * 25


def test_when_good_ones_counted_too_they_would(counting, hal, monkeypatch):
    monkeypatch.setattr(limits, "give_back", lambda act, who: None)
    assert [right(Browser(), hal).status_code for _ in range(11)][-1] == 429


def test_a_good_log_in_gives_back_itself_and_nothing_of_what_was_guessed(counting, hal):
    for _ in range(9):
        guess(Browser(), hal.user.email)
    assert right(Browser(), hal).status_code == 302
    assert guess(Browser(), hal.user.email).status_code == 200
    assert right(Browser(), hal).status_code == 429


def test_whoever_is_in_gives_no_guess_back_for_another(counting, hal, gita):
    browser = Browser()
    right(browser, gita)
    for _ in range(10):
        assert guess(browser, hal.user.email).status_code == 302  # sent home: nobody looked at the password
    for _ in range(10):
        guess(Browser(), hal.user.email)
    assert guess(Browser(), hal.user.email).status_code == 429


def test_saying_who_one_is_locks_nobody_out_of_saying_so(counting, hal):
    browser = Browser()
    right(browser, hal)
    answers = [browser.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code for _ in range(12)]
    assert answers == [302] * 12
    wrong = [browser.post("/accounts/reauthenticate/", {"password": "wrong"}) for _ in range(11)]
    assert [each.status_code for each in wrong] == [200] * 10 + [429]
    assert "2 tries are left. After that, this page waits until" in wrong[7].content.decode()
    page = wrong[10].content.decode()
    assert "Too many tries with your account." in page
    assert "you stay logged in meanwhile" in page
    assert 'href="/accounts/reauthenticate/"' in page


def test_one_good_log_in_does_not_clear_the_count_of_a_place(counting, cast):
    for number in range(59):
        assert guess(Browser(), f"person{number}@nowhere.example").status_code == 200
    good = {"login": cast.hal.user.email, "password": PASSWORD}
    assert Browser().post("/accounts/login/", good, REMOTE_ADDR="192.0.2.1").status_code == 302
    assert guess(Browser(), "another@nowhere.example").status_code == 429
    assert guess(Browser(), "another@nowhere.example", ip="192.0.2.2").status_code == 200


def test_a_place_is_what_our_proxy_says_and_not_what_anybody_says(counting, settings, cast):
    claims = {"HTTP_X_FORWARDED_FOR": "203.0.113.9, 198.51.100.7"}
    request = Browser().get("/accounts/login/", **claims).wsgi_request
    assert limits.network(request) == "127.0.0.1"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert limits.network(request) == "198.51.100.7"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 3
    assert limits.network(request) == "unknown"


def test_a_home_has_many_addresses_of_the_new_kind(counting, cast):
    first, second = (
        Browser().get("/accounts/login/", REMOTE_ADDR=f"2001:db8:1:2::{last}").wsgi_request for last in ("1", "ffff")
    )
    assert limits.network(first) == limits.network(second)


def test_long_words_are_on_the_page_to_be_sent_again(counting, browse, hal):
    browser = browse(hal)
    words = "It stopped at the third step, <b>again</b>. " * 3
    answers = [browser.post("/tickets/new/", {"subject": "x", "description": words}) for _ in range(21)]
    page = answers[-1].content.decode()
    assert answers[-1].status_code == 429
    assert '<textarea class="form-control mb-3" name="description"' in page
    assert "&lt;b&gt;again&lt;/b&gt;" in page
    assert 'action="/tickets/new/"' in page
    assert "We take only so many new tickets" in page


def test_a_part_of_a_page_is_told_in_its_place(counting, browse, hal):
    browser = browse(hal)
    answers = [browser.post("/tickets/preview/", {"body": "x"}, headers={"HX-Request": "true"}) for _ in range(61)]
    assert answers[-1].status_code == 429
    assert answers[-1].content.decode().startswith("<p class=")


def test_looking_is_not_counted(counting, cast):
    for _ in range(70):
        assert Browser().get("/accounts/login/").status_code == 200
    assert not Tally.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_a_request_takes_back_stays_counted():
    limits.count("try", "hal", 1, limits._MINUTES)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        limits.count("try", "hal", 1, limits._MINUTES)
    assert limits.count("try", "hal", 1, limits._MINUTES).is_one_too_many


def test_a_window_ends_and_another_begins(db):
    assert [limits.count("try", "hal", 2, limits._MINUTES).left for _ in range(3)] == [1, 0, -1]
    Tally.objects.update(ends_at=timezone.now())
    assert limits.count("try", "hal", 2, limits._MINUTES).left == 1
    assert Tally.objects.get().count == 1


def test_counting_is_one_statement_and_costs_no_disk(db, django_assert_num_queries):
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE oid = 'members_tally'::regclass")
        assert cursor.fetchone() == ("u",)
    with django_assert_num_queries(3):  # with the savepoint that stands for the transaction here
        limits.count("try", "hal", 2, limits._MINUTES)


def test_no_address_is_kept(counting, cast):
    guess(Browser(), "nobody@nowhere.example")
    assert all(len(key) == 64 for key in Tally.objects.values_list("key", flat=True))


def test_what_is_over_is_forgotten_at_night(db):
    limits.count("try", "hal", 2, limits._MINUTES)
    limits.count("try", "gita", 2, limits._MINUTES)
    Tally.objects.filter(pk=Tally.objects.first().pk).update(ends_at=timezone.now())
    forget()
    assert Tally.objects.count() == 1
