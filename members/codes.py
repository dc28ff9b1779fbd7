"""The codes of authenticator apps (RFC 6238), each taken once (RFC 6238 §5.2)."""

import time

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa import app_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.db import IntegrityError, transaction

from .models import UsedCode, User

KEPT_STEPS = 2 * 24 * 60  # a day


def take(user: User, secret: str, code: str) -> bool:
    """Take the code that this secret shows about now. False where it shows another, or this one was taken already.

    The unique row decides, so of eight who come with the same code at once one is let in.
    """
    step = _step_of(secret, code)
    if step is None:
        return False
    try:
        with transaction.atomic():
            UsedCode.objects.create(user=user, step=step)
    except IntegrityError:
        return False
    return True


def forget() -> int:
    """Delete the marks of codes that nobody could use any more. Returns how many."""
    return UsedCode.objects.filter(step__lt=_step_now() - KEPT_STEPS).delete()[0]


def _step_of(secret: str, code: str) -> int | None:
    # One more to the past than is accepted: the half minute may have ended since the code was found right.
    tolerance = app_settings.TOTP_TOLERANCE
    for step in range(_step_now() - tolerance - 1, _step_now() + tolerance + 1):
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, step))):
            return step
    return None


def _step_now() -> int:
    return int(time.time()) // int(app_settings.TOTP_PERIOD)
