from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from .models import Member


class AwayForm(forms.Form):
    until = forms.DateField(label=_("First day back"), widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, member: Member, **options: Any) -> None:
        super().__init__(*args, **options)
        self.member = member

    def clean_until(self) -> date:
        until: date = self.cleaned_data["until"]
        if until <= self.member.today:
            raise forms.ValidationError(_("Choose a day in the future."))
        return until
