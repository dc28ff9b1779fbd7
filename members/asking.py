"""Django's admin asks "Is it still you?" too."""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from .access import ask_again_unless_fresh

M = TypeVar("M", bound=Model)


class FreshLogInAdmin(admin.ModelAdmin[M]):
    """An admin of what gives people access: before any of its forms is taken, "Is it still you?"."""

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self._ask(request)
        return super().changelist_view(request, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self._ask(request)
        return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self._ask(request)
        return super().delete_view(request, *args, **kwargs)

    def _ask(self, request: HttpRequest) -> None:
        # Whoever may not be here at all is told so by the view, without being asked first.
        if request.method == "POST" and self.has_view_or_change_permission(request):
            ask_again_unless_fresh(request)
