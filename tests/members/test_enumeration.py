"""Nobody learns by asking who has an account: not by words, not by mail that others see, not by the work it takes."""

import re
import time
from statistics import median
from unittest import mock

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from aegir_support import outbox
from aegir_support.demo import PASSWORD
from aegir_support.models import Outbox
from members import actions
from members.access import Backend

NOBODY = "nobody@riverbank.example"
NOTHING_OF_ITSELF = re.compile(
    r'csrfmiddlewaretoken" value="\w+"|X-CSRFToken": "\w+"|data-server-time="[^"]+"|/invitations/\d+/'
)


def plain(page, address):
    """The page without what differs from one to the next anyway."""
    return NOTHING_OF_ITSELF.sub("", page.content.decode()).replace(address, "ADDRESS")


class Work:
    """What a request costs: how many hashes of passwords, and which statements."""

    def __enter__(self):
        self._hash = mock.patch.object(PBKDF2PasswordHasher, "encode", autospec=True, side_effect=self._encode)
        self._queries = CaptureQueriesContext(connection)
        self.hashes = 0
        self._real = PBKDF2PasswordHasher.encode
        self._hash.start()
        self._queries.__enter__()
        return self

    def _encode(self, *args, **options):
        self.hashes += 1
        return self._real(*args, **options)

    def __exit__(self, *failure):
        self._queries.__exit__(*failure)
        self._hash.stop()

    @property
    def statements(self):
        # The first words of each say what it is; what it is about differs.
        plain = [re.sub(r'/\*.*?\*/|"s\d+_x\d+"', "", each["sql"]) for each in self._queries]
        return [" ".join(statement.split()[:3]) for statement in plain]


@pytest.fixture
def real_hashes(settings, hal):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    hal.user.set_password(PASSWORD)
    hal.user.save()


def log_in(address):
    return Browser().post("/accounts/login/", {"login": address, "password": "wrong-by-all-means"})


def reset(address):
    return Browser().post("/accounts/password/reset/", {"email": address}, follow=True)


KNOWN = {
    "proved": lambda hal: hal.user.email,
    "a second address": lambda hal: (
        EmailAddress.objects.create(user=hal.user, email="hal@home.example", verified=True).email
    ),
    "invited, not yet in": lambda hal: actions.invite("nell@riverbank.example", "Nell Ray").email,
    "may not log in": lambda hal: (
        type(hal.user).objects.filter(pk=hal.user_id).update(is_active=False) and hal.user.email
    ),
}


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
@pytest.mark.parametrize("ask", [log_in, reset])
def test_log_in_and_reset_say_the_same_of_every_address_by_the_same_work(real_hashes, hal, known, ask):
    address = known(hal)
    ask(NOBODY), ask(address)  # what is done once only
    with Work() as for_nobody:
        nobody = ask(NOBODY)
    with Work() as for_somebody:
        somebody = ask(address)
    assert nobody.status_code == somebody.status_code
    assert plain(nobody, NOBODY) == plain(somebody, address)
    assert for_nobody.hashes == for_somebody.hashes == (1 if ask is log_in else 0)
    assert for_nobody.statements == for_somebody.statements


def test_each_reset_is_answered_by_one_mail_to_the_address_itself(cast):
    for address in [NOBODY, cast.hal.user.email]:
        reset(address)
    outbox.drain()
    assert sorted(Outbox.objects.filter(kind="mail").values_list("payload__to__0", flat=True)) == [
        cast.hal.user.email,
        NOBODY,
    ]


# Invitations


def ask_in(browser, address):
    facts = {"name": "Kim Rao", "email": address, "role": "billing", "sees": "all"}
    return browser.post("/contacts/", facts, follow=True)


def test_an_owner_does_not_learn_who_has_an_account_elsewhere(browse, gita, iris, ana):
    owner = browse(gita)
    ask_in(owner, "warm@up.example")
    pages = {}
    for address in [NOBODY, iris.user.email, ana.user.email]:
        page = ask_in(owner, address)
        pages[address] = (page.status_code, f"An invitation is on its way to {address}" in page.content.decode())
    assert set(pages.values()) == {(200, True)}
    outbox.drain()
    people = owner.get("/contacts/").content.decode()
    rows = [row.split("</tr>")[0] for row in people.split("<tr>")]
    rows = [row.replace(address, "") for row in rows for address in pages if address in row]
    assert len({NOTHING_OF_ITSELF.sub("", row) for row in rows}) == 1


def test_inviting_takes_the_same_work_for_every_address(browse, gita, iris):
    owner = browse(gita)
    ask_in(owner, "warm@up.example")
    taken = []
    for address in [NOBODY, iris.user.email]:
        with Work() as work:
            owner.post("/contacts/", {"name": "Kim Rao", "email": address, "role": "billing", "sees": "all"})
        taken.append((work.hashes, work.statements))
    assert taken[0] == taken[1]


def test_only_whose_address_it_is_is_told(browse, gita, iris, riverbank):
    ask_in(browse(gita), iris.user.email)
    outbox.drain()
    mail = Outbox.objects.get(kind="mail").payload
    assert mail["to"] == [iris.user.email]
    assert "Gita Rao, Riverbank Library, would like you to work with them" in mail["text"]
    assert "We have not told them" in mail["text"]
    assert not riverbank.contacts.filter(user=iris.user).exists()
    assert riverbank.invitations.get().contact is None


def test_asking_again_looks_the_same(browse, gita, iris, riverbank):
    owner = browse(gita)
    for address in [NOBODY, iris.user.email]:
        ask_in(owner, address)
    outbox.drain()
    answers = [owner.post(f"/invitations/{each.pk}/again/").status_code for each in riverbank.invitations.all()]
    assert answers == [302, 302]
    outbox.drain()
    assert Outbox.objects.filter(kind="mail", payload__to=[iris.user.email]).count() == 2


def test_an_account_that_waits_for_its_owner_is_not_found_by_its_number(browse, gita, riverbank):
    owner = browse(gita)
    ask_in(owner, NOBODY)
    outbox.drain()
    waiting = riverbank.contacts.get(user__email=NOBODY)
    assert owner.post(f"/contacts/{waiting.pk}/invite/").status_code == 404


def test_whoever_is_no_owner_any_more_brings_nobody_in(browse, gita, riverbank):
    ask_in(browse(gita), NOBODY)
    type(gita).objects.filter(pk=gita.pk).update(role="technical")
    outbox.drain()
    assert not riverbank.contacts.filter(user__email=NOBODY).exists()
    assert not Outbox.objects.filter(kind="mail").exists()


# Passkeys


BROKEN = [
    "",
    "null",
    "[]",
    "{}",
    '{"id": 1}',
    '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}',
    '{"id": "AA", "rawId": "AA", "response": {"clientDataJSON": "AA", "authenticatorData": "AA", "signature": "AA"}}',
    '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": 7, "userHandle": []}}',
]


@pytest.mark.parametrize("credential", BROKEN)
def test_a_passkey_that_is_none_is_refused_calmly(cast, credential):
    browser = Browser()
    browser.get("/accounts/2fa/webauthn/login/", headers={"Accept": "application/json"})
    answer = browser.post("/accounts/2fa/webauthn/login/", {"credential": credential})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/")


# By the clock


def timed(ask, address):
    started = time.perf_counter()
    ask(address)
    return time.perf_counter() - started


@pytest.mark.long
@pytest.mark.parametrize("ask", [log_in, reset])
def test_the_clock_does_not_tell_either(real_hashes, hal, ask):
    """200 pairs, one after the other so that a busy machine is busy for both; with the hasher of production."""
    for _ in range(5):
        ask(NOBODY), ask(hal.user.email)
    pairs = [(timed(ask, NOBODY), timed(ask, hal.user.email)) for _ in range(200)]
    nobody, somebody = (median(each) for each in zip(*pairs, strict=True))
    assert abs(nobody - somebody) < 0.05 * max(nobody, somebody)


@pytest.mark.long
def test_the_clock_does_not_tell_the_owner(browse, gita, iris, db):
    owner = browse(gita)

    def invite(address):
        gita.client.invitations.all().delete()
        owner.post("/contacts/", {"name": "Kim Rao", "email": address, "role": "billing", "sees": "all"})

    pairs = [(timed(invite, NOBODY), timed(invite, iris.user.email)) for _ in range(200)]
    nobody, somebody = (median(each) for each in zip(*pairs, strict=True))
    assert abs(nobody - somebody) < 0.05 * max(nobody, somebody)


def test_without_a_hash_for_nobody_both_would_tell(real_hashes, hal):
    """The control of the work and of the clock."""
    with mock.patch.object(Backend, "_mitigate_timing_attack", return_value=None):
        with Work() as for_nobody:
            log_in(NOBODY)
        pairs = [(timed(log_in, NOBODY), timed(log_in, hal.user.email)) for _ in range(5)]
    nobody, somebody = (median(each) for each in zip(*pairs, strict=True))
    assert for_nobody.hashes == 0
    assert abs(nobody - somebody) > 0.05 * max(nobody, somebody)
