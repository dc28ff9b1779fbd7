from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from aegir_support.fields import LineField

from .models import Contact


class InviteForm(forms.Form):
    """Bring in a colleague."""

    name = LineField(label=_("Name"), max_length=120)
    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    role = forms.ChoiceField(
        label=_("Role"),
        choices=[(role.value, capfirst(role.label)) for role in Contact.Role],
        initial=Contact.Role.TECHNICAL,
    )
    sees = forms.ChoiceField(
        label=_("Sees"),
        choices=[(sees.value, capfirst(sees.label)) for sees in Contact.Sees],
        initial=Contact.Sees.ALL,
    )


class AgainForm(forms.Form):
    """A wish to send something once more, with its own key: a second click is no second wish."""

    key = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"initial": {"key": uuid.uuid4()}, **options})
