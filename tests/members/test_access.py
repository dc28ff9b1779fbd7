"""Log-in, invitations, the second factor: who gets in, and how."""

import re
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone

from aegir_support import outbox
from aegir_support.models import Outbox
from members import actions
from members.access import coordinator_on_duty
from members.models import Duty, User
from tests.test_access import ADMIN_METHODS, addresses, example


def last_mail_to(email):
    outbox.drain()
    return Outbox.objects.filter(kind="mail", payload__to=[email]).latest("pk").payload


def link_in(mail):
    return urlsplit(re.search(r"http\S+/accounts/\S+", mail["text"])[0]).path


def test_nobody_signs_up_by_themselves(db):
    page = Client().get("/accounts/signup/")
    assert b"invitation" in page.content
    Client().post(
        "/accounts/signup/", {"email": "x@x.example", "password1": "a-long-secret-9", "password2": "a-long-secret-9"}
    )
    assert not User.objects.filter(email="x@x.example").exists()


def test_an_invitation_opens_the_account_once(db):
    user = actions.invite("New@Riverbank.example", "Nell Ray")
    assert not user.has_usable_password()
    browser = Client()
    link = link_in(last_mail_to("new@riverbank.example"))
    page = browser.get(link, follow=True)
    chosen = {"password1": "quiet-river-77", "password2": "quiet-river-77"}
    browser.post(page.request["PATH_INFO"], chosen)
    assert Client().login(email="new@riverbank.example", password="quiet-river-77")
    assert EmailAddress.objects.get(user=user).verified
    again = Client().get(link, follow=True)
    assert b"password1" not in again.content


def test_an_invited_address_is_taken(hal):
    with pytest.raises(actions.AlreadyHere):
        actions.invite("HAL@riverbank.example", "Hal")


def test_an_owner_invites_a_colleague(browse, gita, riverbank):
    invitation = {"name": "Nell Ray", "email": "nell@riverbank.example", "role": "technical", "sees": "all"}
    assert browse(gita).post("/contacts/", invitation).status_code == 302
    assert last_mail_to("nell@riverbank.example")
    assert riverbank.contacts.filter(user__email="nell@riverbank.example").exists()


def test_only_the_owner_invites(browse, hal, riverbank):
    invitation = {"name": "Nell Ray", "email": "nell@riverbank.example", "role": "technical", "sees": "all"}
    assert browse(hal).post("/contacts/", invitation).status_code == 403
    assert not riverbank.contacts.filter(user__email="nell@riverbank.example").exists()


def test_logging_in_by_the_page(cast):
    browser = Client()
    page = browser.post("/accounts/login/", {"login": "hal@riverbank.example", "password": "the-river-is-wide"})
    assert page.headers["Location"] == "/home/"


@pytest.mark.parametrize("name", ["ana", "chloe", "edda", "finn"])
def test_whoever_holds_others_income_sets_up_a_second_factor_first(cast, browse, settings, name):
    settings.SECOND_FACTOR_REQUIRED = True
    page = browse(getattr(cast, name)).get("/home/")
    assert page.headers["Location"] == "/accounts/2fa/"


@pytest.mark.parametrize("name", ["hal", "jo", "cleo"])
def test_clients_partners_and_strangers_may_but_need_not(cast, browse, settings, name):
    settings.SECOND_FACTOR_REQUIRED = True
    assert browse(getattr(cast, name)).get("/home/").status_code == 200


def test_with_a_second_factor_the_way_is_free(browse, settings, ana):
    settings.SECOND_FACTOR_REQUIRED = True
    Authenticator.objects.create(user=ana.user, type=Authenticator.Type.TOTP, data={"secret": "x"})
    assert browse(ana).get("/queue/").status_code == 200


def test_a_password_alone_does_not_open_the_admin(browse, settings, finn):
    settings.SECOND_FACTOR_REQUIRED = True
    assert browse(finn).get("/admin/").headers["Location"] == "/accounts/2fa/"


def test_the_admins_own_log_in_leads_to_ours(db):
    assert Client().get("/admin/login/").headers["Location"].startswith("/accounts/login/")


def test_a_person_who_may_not_log_in_is_logged_out(browse, hal):
    browser = browse(hal)
    User.objects.filter(pk=hal.user_id).update(is_active=False)
    assert browser.get("/home/").status_code == 302


def test_an_address_is_kept_in_lower_case(cast):
    assert User.objects.create_user("Zoe@X.example", name="Zoe").email == "zoe@x.example"


def test_the_coordinator_on_duty_answers_until_the_duty_ends(chloe):
    assert coordinator_on_duty() == chloe.user
    Duty.objects.coordinators().delete()
    assert coordinator_on_duty() is None


def test_an_invitation_names_who_invites(browse, gita):
    invitation = {"name": "Nell Ray", "email": "nell@riverbank.example", "role": "technical", "sees": "all"}
    browse(gita).post("/contacts/", invitation)
    assert "Gita Rao, Riverbank Library, invites you" in last_mail_to("nell@riverbank.example")["text"]


def test_an_owner_sends_an_invitation_again_until_it_is_used(browse, gita, hal, riverbank):
    invitation = {"name": "Nell Ray", "email": "nell@riverbank.example", "role": "technical", "sees": "all"}
    browse(gita).post("/contacts/", invitation)
    again = f"/invitations/{riverbank.invitations.get(email='nell@riverbank.example').pk}/again/"
    assert last_mail_to("nell@riverbank.example")
    assert "Invited, not yet here" in browse(gita).get("/contacts/").content.decode()
    assert browse(hal).post(again).status_code == 403
    assert browse(gita).post(again).status_code == 302
    outbox.drain()
    assert Outbox.objects.done().filter(kind="invitation").count() == 2
    User.objects.filter(email="nell@riverbank.example").update(last_login=timezone.now())
    assert browse(gita).post(again).status_code == 404
    page = browse(gita).get("/contacts/").content.decode()
    assert page.count("nell@riverbank.example") == 1
    assert "Invited, not yet here" not in page


def test_a_colleague_whom_an_admin_added_is_invited_again_too(browse, gita, hal, riverbank):
    User.objects.filter(pk=hal.user_id).update(last_login=None)
    assert browse(gita).post(f"/contacts/{hal.pk}/invite/").status_code == 302
    User.objects.filter(pk=hal.user_id).update(last_login=timezone.now())
    assert browse(gita).post(f"/contacts/{hal.pk}/invite/").status_code == 403


def test_a_first_password_is_no_forgotten_one(db):
    actions.invite("new@riverbank.example", "Nell Ray")
    browser = Client()
    page = browser.get(link_in(last_mail_to("new@riverbank.example")), follow=True)
    browser.post(page.request["PATH_INFO"], {"password1": "quiet-river-77", "password2": "quiet-river-77"})
    assert Outbox.objects.count() == 1


def test_staff_without_a_second_factor_reach_no_page_of_the_admin(browse, settings, finn, scene):
    settings.SECOND_FACTOR_REQUIRED = True
    browser = browse(finn)
    inside = [address for address in addresses() if address.startswith("admin/")]
    assert len(inside) > 100
    answers = [browser.generic(method, example(each, scene)) for each in inside for method in ADMIN_METHODS]
    assert {answer["Location"] for answer in answers} == {"/accounts/2fa/"}
