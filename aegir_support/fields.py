"""Form fields for what people type: tidied first, so that what is asked of the words is asked of what will be kept."""

from __future__ import annotations

import unicodedata
from typing import Any

from django import forms
from django.core.validators import MaxLengthValidator
from django.utils.translation import gettext_lazy as _

from . import text

# Categories of characters that leave no mark on a page: controls, formats such as joiners, and every kind of space.
_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}


class LineField(forms.CharField):
    """One line, such as a subject or a name. What shows nothing when it is read counts as empty."""

    def to_python(self, value: Any) -> str:
        return _or_nothing(text.one_line(super().to_python(value) or ""))


class WordsField(forms.CharField):
    """Markdown that its writer may preview; the length is said in characters, and what is too long is kept."""

    def __init__(self, **options: Any) -> None:
        too_long = MaxLengthValidator(
            text.MAX_CHARS,
            _(
                "These are %(show_value)d characters, and at most %(limit_value)d fit. Nothing is lost: shorten it, or "
                "put the rest in a second message."
            ),
        )
        # Counted along, but not cut off: a browser that obeys maxlength loses the end of a long paste without a word.
        widget = forms.Textarea(attrs={"data-most": text.MAX_CHARS})
        super().__init__(widget=widget, validators=[too_long], **options)

    def to_python(self, value: Any) -> str:
        return _or_nothing(text.clean(super().to_python(value) or "").strip())


def _or_nothing(words: str) -> str:
    return "" if all(unicodedata.category(character) in _INVISIBLE for character in words) else words
