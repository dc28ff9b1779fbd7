"""Who somebody is, asked once a request, and whether it is still them."""

from collections.abc import Callable
from functools import wraps
from typing import TypeGuard

from allauth.account.adapter import get_adapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.account.internal.flows import reauthentication
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode

from .models import Duty, User

Visitor = User | AnonymousUser
View = Callable[..., HttpResponseBase]


class Backend(AuthenticationBackend):  # type: ignore[misc]
    """Log-in by e-mail; the person comes together with the member they act for."""

    def get_user(self, user_id: int) -> User | None:
        user = User.objects.with_roles().filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None

    def _authenticate_by_email(self, email: str, password: str) -> User | None:
        # One query and one hash whoever is asked for, so that the time of the answer does not tell who has an account.
        user: User | None = self._check_password(who_logs_in_with(email), password)
        return user


def who_logs_in_with(email: str) -> User | None:
    """Who has proved that this address is theirs; failing that, whose own address it is. Asks one query."""
    proved = EmailAddress.objects.filter(user=OuterRef("pk"), email=email.lower(), verified=True)
    people = User.objects.alias(proved=Exists(proved)).filter(Q(proved=True) | Q(email=email.lower()))
    return people.order_by("-proved").first()


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


def ask_again_unless_fresh(request: HttpRequest) -> None:
    """Lead to "Is it still you?" unless that was answered within ACCOUNT_REAUTHENTICATION_TIMEOUT seconds.

    What was posted is kept in the session and done afterwards, as if it came then. Raises ImmediateHttpResponse.
    """
    if not is_person(request.user):
        raise PermissionDenied
    if reauthentication.did_recently_reauthenticate(request):
        return
    methods = get_adapter().get_reauthentication_methods(request.user)
    address = request.get_full_path()
    if request.method == "POST":
        # allauth takes up again only what has the very path it goes on to; the query comes back with the rest.
        reauthentication.suspend_request(request, "")
        address = request.path
    where = methods[0]["url"] if methods else reverse("account_reauthenticate")
    raise ImmediateHttpResponse(HttpResponseRedirect(f"{where}?{urlencode({'next': address})}"))


def count_as_fresh(request: HttpRequest) -> None:
    """Who has logged in this minute is not asked "Is it still you?" the next; allauth by itself would."""
    proofs = request.session.get(AUTHENTICATION_METHODS_SESSION_KEY)
    if proofs:
        request.session[AUTHENTICATION_METHODS_SESSION_KEY] = [*proofs[:-1], {**proofs[-1], "reauthenticated": True}]


def needs_fresh_log_in(view: View) -> View:
    """A view whose POST grants access, moves money or ends sessions: whoever sends it shows first that it is them."""

    @wraps(view)
    def asked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if request.method == "POST":
            ask_again_unless_fresh(request)
        return view(request, *args, **kwargs)

    return asked
