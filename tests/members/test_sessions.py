"""Where one is logged in, and what ends it: the password, a role, the second factor, or a button."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from aegir_support import outbox
from aegir_support.demo import PASSWORD
from members.models import Duty, Representative, User
from tests.members.test_invitations import choose_password, link_to

NEW = "a-new-river-runs"
CHANGE = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}


def log_in(person, browser=None, **headers):
    browser = browser or Browser(headers=headers)
    answer = browser.post("/accounts/login/", {"login": person.user.email, "password": PASSWORD})
    assert answer["Location"] == "/home/"
    return browser


def is_in(browser):
    return browser.get("/accounts/email/").status_code == 200


def fresh(browser):
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return browser


def sql(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


# What ends every session


def new_password_by_hand(hal):
    hal.user.set_password("quiet-river-77")
    hal.user.save()


def reset(hal):
    Browser().post("/accounts/password/reset/", {"email": hal.user.email})
    choose_password(link_to(hal.user.email))


CHANGES = {
    "a new password": new_password_by_hand,
    "a reset": reset,
    "a new password by SQL": lambda hal: sql("UPDATE members_user SET password = 'x' WHERE id = %s", hal.user_id),
    "may enter the admin": lambda hal: User.objects.filter(pk=hal.user_id).update(is_staff=True),
    "is an admin": lambda hal: User.objects.filter(pk=hal.user_id).update(is_superuser=True),
    "may not log in": lambda hal: User.objects.filter(pk=hal.user_id).update(is_active=False),
    "a group": lambda hal: hal.user.groups.add(Group.objects.create(name="Helpers")),
    "a duty": lambda hal: Duty.objects.create(user=hal.user, kind=Duty.Kind.BOOKKEEPER),
    "a duty in bulk": lambda hal: Duty.objects.bulk_create([Duty(user=hal.user, kind=Duty.Kind.COORDINATOR)]),
    "another role": lambda hal: type(hal).objects.filter(pk=hal.pk).update(role="owner"),
    "other tickets": lambda hal: type(hal).objects.filter(pk=hal.pk).update(sees="own"),
    "no role any more": lambda hal: hal.delete(),
    "an app": lambda hal: TOTP.activate(hal.user, "JBSWY3DPEHPK3PXP"),
    "a passkey": lambda hal: Authenticator.objects.create(user=hal.user, type="webauthn", data={"name": "Key"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_password_role_or_second_factor_logs_out_everywhere(hal, change):
    places = [log_in(hal) for _ in range(3)]
    assert all(map(is_in, places))
    change(hal)
    assert not any(map(is_in, places))


LESS = {
    "a duty that ends": (
        lambda ana: Duty.objects.create(user=ana.user, kind=Duty.Kind.COORDINATOR),
        lambda ana: Duty.objects.filter(user=ana.user).update(until=timezone.now().date() + timezone.timedelta(days=9)),
    ),
    "no member any more": (lambda ana: None, lambda ana: Representative.objects.filter(user=ana.user).delete()),
    "an app that goes": (
        lambda ana: TOTP.activate(ana.user, "JBSWY3DPEHPK3PXP"),
        lambda ana: Authenticator.objects.all().delete(),
    ),
    "another secret": (
        lambda ana: Authenticator.objects.create(user=ana.user, type="webauthn", data={"credential": {"id": 1}}),
        lambda ana: Authenticator.objects.update(data={"credential": {"id": 2}}),
    ),
}


@pytest.mark.parametrize(("before", "change"), LESS.values(), ids=LESS)
def test_what_is_taken_away_logs_out_as_well(ana, before, change):
    before(ana)
    browser = Browser()
    browser.force_login(User.objects.get(pk=ana.user_id))
    assert is_in(browser)
    change(ana)
    assert not is_in(browser)


NOTHING = {
    "a new name": lambda hal: User.objects.filter(pk=hal.user_id).update(name="Hal Brooks"),
    "a use": lambda hal: Authenticator.objects.update(last_used_at=timezone.now()),
    "a recovery code crossed off": lambda hal: Authenticator.objects.update(data={"seed": "1", "used_mask": 3}),
    "somebody else's role": lambda hal: Duty.objects.create(user=User.objects.get(name="Gita Rao"), kind="bookkeeper"),
}


@pytest.mark.parametrize("change", NOTHING.values(), ids=NOTHING)
def test_other_changes_log_nobody_out(hal, change):
    Authenticator.objects.create(user=hal.user, type="recovery_codes", data={"seed": "1", "used_mask": 0})
    browser = Browser()
    browser.force_login(User.objects.get(pk=hal.user_id))
    change(hal)
    assert is_in(browser)


def test_without_the_trigger_a_role_would_log_nobody_out(hal):
    browser = log_in(hal)
    sql("ALTER TABLE members_duty DISABLE TRIGGER duty_change_ends_sessions")
    Duty.objects.create(user=hal.user, kind=Duty.Kind.BOOKKEEPER)
    assert is_in(browser)


def test_a_person_saved_as_they_were_read_brings_no_session_back(hal):
    browser, read_before = log_in(hal), User.objects.get(pk=hal.user_id)
    Duty.objects.create(user=hal.user, kind=Duty.Kind.BOOKKEEPER)
    read_before.save()
    assert not is_in(browser)


# Where one did it oneself, one stays


def test_whoever_changes_their_password_stays_where_they_did_it(hal):
    here, there = log_in(hal), log_in(hal)
    assert here.post("/accounts/password/change/", CHANGE).status_code == 302
    assert is_in(here)
    assert not is_in(there)


def test_whoever_sets_up_and_removes_a_second_factor_stays_where_they_did_it(hal):
    from tests.members.test_codes import code_of, set_up  # noqa: PLC0415 (it speaks of sessions too)

    here, there = fresh(log_in(hal)), log_in(hal)
    secret = set_up(here)
    assert is_in(here)
    assert not is_in(there)
    there = Browser()
    there.post("/accounts/login/", {"login": hal.user.email, "password": PASSWORD})
    there.post("/accounts/2fa/authenticate/", {"code": code_of(secret, later=1)})
    here.post("/accounts/2fa/recovery-codes/generate/")
    assert is_in(here)
    assert not is_in(there)
    here.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.exists()
    assert is_in(here)


def test_a_session_that_was_ended_does_not_go_on_by_its_own_change(hal):
    here = fresh(log_in(hal))
    Duty.objects.create(user=hal.user, kind=Duty.Kind.BOOKKEEPER)
    here.post("/accounts/password/change/", CHANGE)
    assert not is_in(here)
    assert User.objects.get(pk=hal.user_id).check_password(PASSWORD)


def test_the_key_of_a_session_changes_at_log_in(hal):
    browser = Browser()
    browser.get("/accounts/login/")
    session = browser.session
    session["planted"] = True
    session.save()
    browser.cookies["sessionid"] = session.session_key
    log_in(hal, browser)
    assert browser.cookies["sessionid"].value != session.session_key
    planted = Browser()
    planted.cookies["sessionid"] = session.session_key
    assert not is_in(planted)


# The list


def test_one_sees_where_one_is_logged_in(hal):
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1"
    log_in(hal, user_agent=phone)
    here = log_in(hal, user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    page = here.get("/accounts/sessions/").content.decode()
    assert "You are logged in in 2 places" in page
    assert "Safari on iPhone" in page
    assert "Firefox on Linux" in page
    assert "127.0.0.1" in page
    assert page.count("this one") == 1


def test_one_place_is_ended(hal):
    there, other, here = log_in(hal), log_in(hal), fresh(log_in(hal))
    key = UserSession.objects.get(session_key=there.session.session_key).pk
    assert here.post(f"/accounts/sessions/{key}/end/", follow=True).status_code == 200
    assert (is_in(there), is_in(other), is_in(here)) == (False, True, True)
    assert "had ended already" in here.post(f"/accounts/sessions/{key}/end/", follow=True).content.decode()


def test_all_others_are_ended_also_those_the_list_does_not_know(hal, browse):
    unknown, there, here = browse(hal), log_in(hal), fresh(log_in(hal))
    assert is_in(unknown)
    page = here.post("/accounts/sessions/end/", follow=True).content.decode()
    assert "You are logged in here only" in page
    assert (is_in(unknown), is_in(there), is_in(here)) == (False, False, True)


def test_nobody_ends_somebody_elses(hal, gita):
    there, here = log_in(hal), fresh(log_in(gita))
    here.post(f"/accounts/sessions/{UserSession.objects.get(user=hal.user).pk}/end/")
    assert is_in(there)


def test_the_list_asks_the_same_however_many_places(hal):
    here, counts = log_in(hal), []
    for _ in range(2):
        here.get("/accounts/sessions/")
        with CaptureQueriesContext(connection) as asked:
            here.get("/accounts/sessions/")
        counts.append(len(asked))
        log_in(hal), log_in(hal)
    assert counts[0] == counts[1]


# Is it still you?


def test_what_gives_access_asks_first_and_then_does_what_was_typed(finn):
    browser = Browser()
    browser.force_login(finn)
    new = {"name": "Nell Ray", "email": "nell@riverbank.example", "time_zone": "UTC", "is_active": "on", "_save": "1"}
    answer = browser.post("/admin/members/user/add/?_changelist_filters=q%3Dnell", new)
    assert answer["Location"] == "/accounts/reauthenticate/?next=%2Fadmin%2Fmembers%2Fuser%2Fadd%2F"
    assert not User.objects.filter(name="Nell Ray").exists()
    wrong = browser.post(answer["Location"], {"password": "wrong", "next": "/admin/members/user/add/"})
    assert wrong.status_code == 200
    browser.post(answer["Location"], {"password": PASSWORD, "next": "/admin/members/user/add/"})
    assert User.objects.get(name="Nell Ray").email == "nell@riverbank.example"
    assert browser.post("/admin/members/user/add/", new).status_code == 200  # asked a moment ago; the address is taken


ASKS = [
    "/accounts/email/",
    "/accounts/sessions/end/",
    "/accounts/sessions/1/end/",
    "/admin/members/duty/add/",
    "/admin/members/member/add/",
    "/admin/billing/client/add/",
    "/admin/referrals/partner/add/",
    "/admin/account/emailaddress/add/",
]


@pytest.mark.parametrize("path", ASKS)
def test_each_of_these_asks(finn, path):
    browser = Browser()
    browser.force_login(finn)
    answer = browser.post(path, {"action_add": "", "email": "finn@home.example"})
    assert answer["Location"].startswith("/accounts/reauthenticate/?next=")


@pytest.mark.parametrize("path", ["totp/activate/", "webauthn/add/", "recovery-codes/generate/"])
def test_a_second_factor_changes_only_after_asking(hal, path, time_machine):
    time_machine.move_to(timezone.now())
    browser = log_in(hal)
    time_machine.shift(601)
    assert browser.get(f"/accounts/2fa/{path}")["Location"].startswith("/accounts/reauthenticate/")


def test_who_has_just_logged_in_is_not_asked(hal):
    assert log_in(hal).get("/accounts/2fa/totp/activate/").status_code == 200


def test_inviting_asks_the_owner(gita, riverbank):
    browser = Browser()
    browser.force_login(gita.user)
    kim = {"name": "Kim Rao", "email": "kim@riverbank.example", "role": "billing", "sees": "all"}
    assert browser.post("/contacts/", kim)["Location"] == "/accounts/reauthenticate/?next=%2Fcontacts%2F"
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/contacts/"})
    outbox.drain()
    assert riverbank.contacts.filter(user__name="Kim Rao").exists()


def test_the_answer_counts_for_ten_minutes(hal, time_machine):
    time_machine.move_to(timezone.now())
    browser = fresh(log_in(hal))
    assert browser.get("/accounts/2fa/webauthn/add/").status_code == 200
    time_machine.shift(601)
    assert browser.get("/accounts/2fa/webauthn/add/").status_code == 302
