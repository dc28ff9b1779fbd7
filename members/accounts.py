"""How allauth behaves here: nobody signs up by themselves, and its mails go through the outbox."""

import uuid
from types import SimpleNamespace
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import ResetPasswordKeyForm
from allauth.core import context as allauth_context
from django.conf import settings
from django.http import HttpRequest

from aegir_support import mail

from . import actions
from .models import User


class ChoosePasswordForm(ResetPasswordKeyForm):  # type: ignore[misc]
    """What the link in an invitation or after a forgotten password opens. Who gets here has read our mail."""

    def save(self) -> None:
        super().save()
        actions.prove_address(self.user)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """An account comes with an invitation or a purchase, never by itself."""
        return False

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
