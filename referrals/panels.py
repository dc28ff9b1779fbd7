"""What referrals add to the navigation and to people's homes."""

from django.utils.translation import gettext as _

from members.home import Facts
from members.models import User

from .models import partner_of


def is_partner(user: User) -> bool:
    return partner_of(user) is not None


def partner_name(user: User) -> str:
    found = partner_of(user)
    return found.name if found else ""


def partner(user: User) -> Facts | None:
    found = partner_of(user)
    return {"partner": found, "heading": _("Nothing is waiting for your answer")} if found else None
