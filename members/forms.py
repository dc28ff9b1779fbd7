from __future__ import annotations

from datetime import date

from django import forms
from django.utils.translation import gettext_lazy as _

from aegir_support import calendars


class AwayForm(forms.Form):
    until = forms.DateField(label=_("First day back"), widget=forms.DateInput(attrs={"type": "date"}))

    def clean_until(self) -> date:
        until: date = self.cleaned_data["until"]
        if until <= calendars.today():
            raise forms.ValidationError(_("Choose a day in the future."))
        return until
