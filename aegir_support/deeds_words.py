"""What each address does and each kind of deed is called, in words for the record of deeds."""

from __future__ import annotations

import re

from django.apps import apps
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from . import jobs
from .models import Deed

PHRASES = {
    "landing": gettext_lazy("opened the front page"),
    "account_login": gettext_lazy("logged in"),
    "account_logout": gettext_lazy("logged out"),
    "account_inactive": gettext_lazy("was told that the account is closed"),
    "account_signup": gettext_lazy("signed up"),
    "account_reauthenticate": gettext_lazy("answered “Is it still you?”"),
    "account_email": gettext_lazy("changed the e-mail address"),
    "account_email_verification_sent": gettext_lazy("waited for a mail about the address"),
    "account_confirm_email": gettext_lazy("confirmed the e-mail address"),
    "account_confirm_login_code": gettext_lazy("gave a code to log in"),
    "account_change_password": gettext_lazy("changed the password"),
    "account_set_password": gettext_lazy("set a password"),
    "account_reset_password": gettext_lazy("asked for a new password"),
    "account_reset_password_done": gettext_lazy("asked for a new password"),
    "account_reset_password_from_key": gettext_lazy("set a new password by a link"),
    "account_reset_password_from_key_done": gettext_lazy("set a new password by a link"),
    "mfa_index": gettext_lazy("looked at the second factors"),
    "mfa_authenticate": gettext_lazy("gave the second factor"),
    "mfa_reauthenticate": gettext_lazy("answered “Is it still you?” with the second factor"),
    "mfa_activate_totp": gettext_lazy("set up an authenticator app"),
    "mfa_deactivate_totp": gettext_lazy("gave up the authenticator app"),
    "mfa_view_recovery_codes": gettext_lazy("looked at the recovery codes"),
    "mfa_generate_recovery_codes": gettext_lazy("made new recovery codes"),
    "mfa_download_recovery_codes": gettext_lazy("saved the recovery codes"),
    "mfa_list_webauthn": gettext_lazy("looked at the passkeys"),
    "mfa_add_webauthn": gettext_lazy("added a passkey"),
    "mfa_edit_webauthn": gettext_lazy("renamed a passkey"),
    "mfa_remove_webauthn": gettext_lazy("removed a passkey"),
    "mfa_login_webauthn": gettext_lazy("logged in with a passkey"),
    "mfa_reauthenticate_webauthn": gettext_lazy("answered “Is it still you?” with a passkey"),
    "sessions": gettext_lazy("looked at the log-ins"),
    "end_session": gettext_lazy("ended a log-in elsewhere"),
    "end_other_sessions": gettext_lazy("ended all log-ins elsewhere"),
    "openid_connect_login": gettext_lazy("went to log in at their firm"),
    "openid_connect_callback": gettext_lazy("logged in at their firm"),
    "members:home": gettext_lazy("opened the home page"),
    "members:go_away": gettext_lazy("went away"),
    "members:come_back": gettext_lazy("came back"),
    "billing:pricing": gettext_lazy("looked at the prices"),
    "billing:subscription": gettext_lazy("looked at the subscription"),
    "billing:servers": gettext_lazy("listed servers"),
    "billing:contacts": gettext_lazy("changed the contacts"),
    "billing:invite_again": gettext_lazy("invited a contact again"),
    "billing:ask_again": gettext_lazy("asked a contact again"),
    "billing:books": gettext_lazy("looked at the books"),
    "tickets:ticket_list": gettext_lazy("looked at the tickets"),
    "tickets:file_ticket": gettext_lazy("filed a ticket"),
    "tickets:preview": gettext_lazy("looked how the words will appear"),
    "tickets:ticket": gettext_lazy("read a ticket"),
    "tickets:reply": gettext_lazy("replied"),
    "tickets:note": gettext_lazy("left a note"),
    "tickets:judge": gettext_lazy("said what the trouble is"),
    "tickets:solve": gettext_lazy("solved a ticket"),
    "tickets:confirm": gettext_lazy("confirmed a solution"),
    "tickets:reopen": gettext_lazy("reopened a ticket"),
    "tickets:withdraw": gettext_lazy("withdrew a ticket"),
    "tickets:claim": gettext_lazy("claimed a ticket from the open call"),
    "tickets:give_back": gettext_lazy("gave a ticket back"),
    "tickets:hand_over": gettext_lazy("asked a member to take a ticket over"),
    "tickets:withdraw_hand_over": gettext_lazy("took back the wish to hand a ticket over"),
    "tickets:attachment": gettext_lazy("fetched an attachment"),
    "tickets:attachment_picture": gettext_lazy("looked at a picture"),
    "tickets:attachment_thumbnail": gettext_lazy("looked at a small picture"),
    "tickets:queue": gettext_lazy("looked at the queue"),
    "tickets:offers": gettext_lazy("looked at the offers"),
    "tickets:offer": gettext_lazy("read an offer"),
    "tickets:accept_offer": gettext_lazy("accepted an offer"),
    "tickets:refuse_offer": gettext_lazy("refused an offer"),
    "tickets:answer_offer": gettext_lazy("answered an offer from the mail"),
    "referrals:referral_list": gettext_lazy("looked at the referrals"),
    "deeds": gettext_lazy("searched the record of deeds"),
    "admin:index": gettext_lazy("opened the set-up"),
    "admin:login": gettext_lazy("logged in to the set-up"),
    "admin:logout": gettext_lazy("logged out of the set-up"),
    # The week that the demo tells.
    "demo:accept": gettext_lazy("accepted an offer"),
    "demo:refuse": gettext_lazy("refused an offer"),
    "demo:admit": gettext_lazy("admitted a member"),
    "demo:represent": gettext_lazy("made somebody speak for a member"),
    "demo:sweep": gettext_lazy("swept the queue"),
}
_IN_SET_UP = {
    "changelist": gettext_lazy("worked on the list “%(things)s” in the set-up"),
    "add": gettext_lazy("added in the set-up: %(thing)s"),
    "change": gettext_lazy("changed in the set-up: %(thing)s"),
    "delete": gettext_lazy("removed in the set-up: %(thing)s"),
    "history": gettext_lazy("looked at what happened in the set-up to: %(thing)s"),
}


def what_in_words(what: str) -> str:
    """The phrase for a view, a job or a step of the demo; the name of anything else, and a command as it is typed."""
    if what.startswith("manage.py"):
        return what
    if what in jobs.periodic():
        return jobs.plain_name(what)
    prefix, _colon, name = what.rpartition(":")
    told = PHRASES.get(what)
    if told is None and prefix == "demo":
        told = next((PHRASES[f"{app}:{name}"] for app in ["tickets", "members"] if f"{app}:{name}" in PHRASES), None)
    return str(told or _of_set_up(what) or re.split(r"[:.]", what)[-1].replace("_", " "))


def _of_set_up(what: str) -> str:
    found = re.fullmatch(r"admin:([a-z]+(?:_support)?)_([a-z]+)_([a-z]+)", what)
    if not found:
        return _("worked in the set-up") if what.startswith("admin:") else ""
    app, name, act = found.groups()
    model = apps.all_models.get(app, {}).get(name)
    if model is None or act not in _IN_SET_UP:
        return _("worked in the set-up")
    words = {"thing": model._meta.verbose_name, "things": model._meta.verbose_name_plural}
    return str(_IN_SET_UP[act]) % words


def kind_in_words(kind: str) -> str:
    # To whoever may see everything nothing is another's: there was nothing.
    in_vain = _("asked for what is not there, or not theirs")
    return in_vain if kind == Deed.Kind.NOT_THEIRS else str(dict(Deed.Kind.choices).get(kind, kind))
