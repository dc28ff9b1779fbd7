"""How allauth behaves here: nobody signs up by themselves, its mails go through the outbox, a code works once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import ResetPasswordForm, ResetPasswordKeyForm, default_token_generator
from allauth.account.utils import user_pk_to_url_str
from allauth.core import context as allauth_context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.utils import decrypt
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from aegir_support import deeds, mail, outbox
from aegir_support.fields import LineField
from aegir_support.models import Outbox

from . import access, actions, codes, devices
from .models import User


class AskForPasswordForm(ResetPasswordForm):  # type: ignore[misc]
    """Notes down who asks for a new password; a job looks whether there is such a person.

    So the page does the same for every address, and takes the same time.
    """

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).strip().lower()

    def save(self, request: HttpRequest, **options: Any) -> str:
        email = str(self.cleaned_data["email"])
        outbox.put("new password", {"email": email}, key=f"new-password:{uuid.uuid4()}")
        return email


def mail_new_password(row: Outbox) -> None:
    """Answer whoever asked for a new password: with the link to choose it, or that no account has the address."""
    email = str(row.payload["email"])
    adapter = AccountAdapter()
    user = access.who_logs_in_with(email)
    if user is None or not user.is_active:
        adapter.send_mail("account/email/unknown_account", email, {})
        return
    key = {"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)}
    link = settings.SITE_URL + reverse("account_reset_password_from_key", kwargs=key)
    adapter.send_mail("account/email/password_reset_key", email, {"user": user, "password_reset_url": link})


class ChoosePasswordForm(ResetPasswordKeyForm):  # type: ignore[misc]
    """What the link in an invitation or after a forgotten password opens. Who gets here has read our mail."""

    def save(self) -> None:
        super().save()
        actions.prove_address(self.user)


class _CodeOnce(forms.Form):
    """A code of an authenticator app is taken once; allauth's own mark is gone with the cache."""

    def clean_code(self) -> str:
        with _failure_on_record(self):
            code: str = super().clean_code()  # type: ignore[misc]
            taken: Authenticator = self.authenticator  # type: ignore[attr-defined]
            by_app = taken.type == Authenticator.Type.TOTP
            if by_app and not codes.take(taken.user, decrypt(taken.data["secret"]), code):
                raise SecondFactorAdapter().validation_error("incorrect_code")
        return code


class CodeForm(_CodeOnce, AuthenticateForm):  # type: ignore[misc]
    """The second factor after the password."""


class CodeAgainForm(_CodeOnce, ReauthenticateForm):  # type: ignore[misc]
    """Is it still you?"""


class SetUpAppForm(ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a new authenticator app, which then does not log in as well."""

    def clean_code(self) -> str:
        code: str = super().clean_code()
        codes.take(self.user, self.secret, code)
        return code


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey, with a name to tell it from others."""

    name = LineField(label=_("Name"), max_length=80, required=False)

    def clean(self) -> dict[str, Any]:
        with _whatever_was_sent():
            facts: dict[str, Any] = super().clean()
        return facts


class _WellFormed(forms.Form):
    def clean_credential(self) -> Authenticator:
        with _failure_on_record(self), _whatever_was_sent():
            return super().clean_credential()  # type: ignore[misc]


@contextmanager
def _whatever_was_sent() -> Iterator[None]:
    """What a passkey answered comes from anybody: allauth trusts parts of it to be of the right kind."""
    try:
        yield
    except ValidationError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise SecondFactorAdapter().validation_error("incorrect_code") from error


@contextmanager
def _failure_on_record(form: forms.Form) -> Iterator[None]:
    try:
        yield
    except ValidationError:
        deeds.record("second_factor_failed", about=getattr(form, "user", None))
        raise


class PasskeyForm(_WellFormed, AuthenticateWebAuthnForm):  # type: ignore[misc]
    pass


class PasskeyLogInForm(_WellFormed, LoginWebAuthnForm):  # type: ignore[misc]
    pass


class PasskeyAgainForm(_WellFormed, ReauthenticateWebAuthnForm):  # type: ignore[misc]
    pass


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """An account comes with an invitation or a purchase, never by itself."""
        return False

    def is_safe_url(self, url: str) -> bool:
        """An address on this site. What is no address at all, such as `//[::1`, is none and must not fail the page."""
        try:
            return bool(super().is_safe_url(url))
        except ValueError:
            return False

    def login(self, request: HttpRequest, user: User) -> None:
        # A stronger hash of the password may just have been saved, which began a new epoch.
        user.refresh_from_db(fields=["password", "session_epoch"])
        super().login(request, user)

    def set_password(self, user: User, password: str) -> None:
        super().set_password(user, password)
        user.refresh_from_db(fields=["session_epoch"])

    def post_login(self, request: HttpRequest, user: User, **facts: Any) -> HttpResponseBase:
        deeds.record("logged_in")
        access.count_as_fresh(request)
        answer: HttpResponseBase = super().post_login(request, user, **facts)
        return answer

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        # The record holds no address: one that is nobody's may be a password typed into the wrong field.
        deeds.record("log_in_failed", about=access.who_logs_in_with(str(credentials.get("email", ""))))

    def logout(self, request: HttpRequest) -> None:
        deeds.record("logged_out")
        super().logout(request)

    def get_reauthentication_methods(self, user: User) -> list[dict[str, Any]]:
        words = {
            "reauthenticate": _("Use your password"),
            "mfa_reauthenticate": _("Use a code of your app"),
            "mfa_reauthenticate:webauthn": _("Use a passkey"),
        }
        return [{**each, "description": words[each["id"]]} for each in super().get_reauthentication_methods(user)]

    def send_notification_mail(self, template_prefix: str, user: User, *args: Any, **options: Any) -> None:
        # Who has just chosen their first password need not be told that the forgotten one was replaced.
        if template_prefix == "account/email/password_reset" and user.last_login is None:
            return
        super().send_notification_mail(template_prefix, user, *args, **options)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        site = SimpleNamespace(name=settings.PROJECT_NAME, domain=settings.SITE_URL.split("//")[-1])
        everything = {"request": allauth_context.request, "email": email, "current_site": site, **context}
        message = self.render_mail(template_prefix, email, everything)
        mail.enqueue_message(message, key=f"account:{uuid.uuid4()}")


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Whom a passkey is for: the host people know us by, whatever name a request came under."""
        return {"id": urlsplit(settings.SITE_URL).hostname or "localhost", "name": settings.PROJECT_NAME}

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002 (allauth's name)
        return devices.in_words(self.get_user_agent())

    def get_user_agent(self) -> str:
        return str(allauth_context.request.headers.get("User-Agent", ""))
