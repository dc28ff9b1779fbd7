from __future__ import annotations

from typing import Any

import allauth.account.admin
import allauth.mfa.admin
import allauth.socialaccount.admin
import allauth.usersessions.admin
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from . import actions, limits
from .asking import FreshLogInAdmin
from .models import Calendar, CalendarSpan, Duty, Member, Queue, Representative, Seat, User


class UserForm(ModelForm[User]):
    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        if actions.is_taken(email, besides=self.instance if self.instance.pk else None):
            raise ValidationError(_("Somebody already uses this e-mail address."))
        return email


@admin.register(User)
class UserAdmin(FreshLogInAdmin[User]):
    """People. Passwords are chosen by their owners through the invitation, never typed here."""

    form = UserForm
    list_display = ["name", "email", "is_active", "is_staff", "last_login"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["name", "email"]
    fields = ["name", "email", "time_zone", "is_active", "is_staff", "is_superuser", "groups"]
    filter_horizontal = ["groups"]
    actions = ["invite"]

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        if not change:
            obj.set_unusable_password()
        super().save_model(request, obj, form, change)
        if not change:
            actions.send_invitation(obj)
            messages.info(request, _("An invitation is on its way to %(email)s.") % {"email": obj.email})
        elif "email" in form.changed_data:
            actions.keep_address(obj)

    @admin.action(description=_("Send an invitation to choose a password"))
    def invite(self, request: HttpRequest, people: QuerySet[User]) -> HttpResponse | None:
        if refused := limits.refusal(request, limits.INVITE):
            return refused
        for user in people:
            actions.send_invitation(user)
        self.message_user(request, _("The invitations are on their way."))
        return None


class RepresentativeInline(admin.TabularInline[Representative, Member]):
    model = Representative
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Member)
class MemberAdmin(FreshLogInAdmin[Member]):
    list_display = ["name", "kind", "status", "country", "away_until"]
    list_filter = ["status", "kind"]
    search_fields = ["name"]
    readonly_fields = ["away_until"]
    inlines = [RepresentativeInline]

    def save_model(self, request: HttpRequest, obj: Member, form: ModelForm[Member], change: bool) -> None:
        was_active = change and Member.objects.active().filter(pk=obj.pk).exists()
        super().save_model(request, obj, form, change)
        if obj.is_active and not was_active:
            actions.join_at_the_end(obj)


@admin.register(Duty)
class DutyAdmin(FreshLogInAdmin[Duty]):
    list_display = ["user", "kind", "since", "until"]
    list_filter = ["kind"]
    autocomplete_fields = ["user"]


class SeatInline(admin.TabularInline[Seat, Queue]):
    """The order, to look at: a turn is only ever given by the rotation."""

    model = Seat
    extra = 0
    can_delete = False
    fields = ["member", "turn"]
    readonly_fields = ["member", "turn"]

    def has_add_permission(self, *args: Any) -> bool:
        return False


@admin.register(Queue)
class QueueAdmin(admin.ModelAdmin[Queue]):
    list_display = ["name", "last_turn"]
    fields = ["name", "last_turn"]
    readonly_fields = ["name", "last_turn"]
    inlines = [SeatInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Queue | None = None) -> bool:
        return False


class CalendarSpanFormSet(BaseInlineFormSet[CalendarSpan, Calendar, ModelForm[CalendarSpan]]):
    """A calendar that is never open promises nothing, and nobody who has it could file a ticket."""

    default_error_messages = {"too_few_forms": _("Enter at least one stretch of open hours.")}


class CalendarSpanInline(admin.TabularInline[CalendarSpan, Calendar]):
    model = CalendarSpan
    formset = CalendarSpanFormSet
    extra = 1
    min_num = 1

    def get_formset(self, request: HttpRequest, obj: Calendar | None = None, **options: Any) -> Any:
        return super().get_formset(request, obj, validate_min=True, **options)


@admin.register(Calendar)
class CalendarAdmin(admin.ModelAdmin[Calendar]):
    list_display = ["name", "time_zone"]
    inlines = [CalendarSpanInline]


# allauth registers admins of its own, some for what is no admin's: secrets of second factors, keys of sessions, and
# providers of log-ins beside the one in the settings.
admin.site.unregister([EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession])


@admin.register(EmailAddress)
class EmailAddressAdmin(FreshLogInAdmin[EmailAddress], allauth.account.admin.EmailAddressAdmin):  # type: ignore[misc]
    """Addresses; whoever confirms one gives its owner the account."""


@admin.register(Authenticator)
class AuthenticatorAdmin(FreshLogInAdmin[Authenticator]):
    """Second factors without their secrets: one is removed for whoever has lost it, and then set up anew."""

    list_display = ["user", "type", "created_at", "last_used_at"]
    list_filter = ["type"]
    fields = ["user", "type", "created_at", "last_used_at"]
    readonly_fields = ["user", "type", "created_at", "last_used_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Authenticator | None = None) -> bool:
        return False
