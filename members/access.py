"""Who somebody is, asked once a request."""

from typing import TypeGuard

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from .models import Duty, User

Visitor = User | AnonymousUser


class Backend(AuthenticationBackend):  # type: ignore[misc]
    """allauth's log-in by e-mail; the person comes together with the member they act for."""

    def get_user(self, user_id: int) -> User | None:
        user = User.objects.with_roles().filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None


def is_person(visitor: Visitor) -> TypeGuard[User]:
    """True for somebody who is logged in."""
    return visitor.is_authenticated


def must_use_second_factor(user: User) -> bool:
    """Members, the bookkeeper, coordinators and admins hold other people's income in their hands."""
    return user.is_staff or user.member is not None or bool(user.duties)


def coordinator_on_duty() -> User | None:
    """The coordinator who answers for every ticket that nobody has accepted yet: the one longest on duty."""
    duty = Duty.objects.current().coordinators().filter(user__is_active=True).select_related("user").first()
    return duty.user if duty else None


def signed_in(request: HttpRequest) -> User:
    """The person of this request; pages that call it are behind the log-in."""
    if not is_person(request.user):
        raise PermissionDenied
    return request.user
