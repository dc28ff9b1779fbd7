"""Log-in by a provider of OpenID Connect, where the settings name one (OIDC_ISSUER).

It opens an account that is there already and whose proved address is the one the provider has proved; it makes none.
Whoever must use a second factor here gives it as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import structlog
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from requests import RequestException

from .models import User

log = structlog.get_logger(__name__)

PROVIDER = "oidc"


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """An account comes with an invitation or a purchase, never by itself."""
        return False

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """Nothing: a person is only ever found."""
        nobody: User = sociallogin.user
        return nobody

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[User, str] | None:
        """The account whose proved address the provider has proved too."""
        for given in sociallogin.email_addresses:
            ours = EmailAddress.objects.select_related("user").filter(email=given.email.lower(), verified=True).first()
            if _is_proved(given) and ours:
                return ours.user, ours.email
        return None

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuse, with a sentence, whoever is not to get in. Raises ImmediateHttpResponse."""
        told = sociallogin.account.extra_data
        if told.get("userinfo", {}).get("sub") != told.get("id_token", {}).get("sub", ""):
            raise ImmediateHttpResponse(_refuse(request, _("What the provider said does not fit together.")))
        if sociallogin.is_existing:
            return
        if not any(_is_proved(given) for given in sociallogin.email_addresses):
            sentence = _("The provider has not confirmed that your e-mail address is yours. Nobody was logged in.")
        else:
            sentence = _("No account here has the address that the provider knows you by. Ask for an invitation to it.")
        raise ImmediateHttpResponse(_refuse(request, sentence))

    def on_authentication_error(self, request: HttpRequest, provider: Any, **facts: Any) -> None:
        sentence = _("The log-in was broken off, or it took too long. Please begin again.")
        raise ImmediateHttpResponse(_refuse(request, sentence, status=401))


class _Adapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        # allauth trusts what came over TLS; a signature that is checked does not depend on how it came.
        told: dict[str, Any] = jwtkit.verify_and_decode(
            credential=id_token,
            keys_url=self.openid_config["jwks_uri"],
            issuer=self.openid_config["issuer"],
            audience=app.client_id,
            lookup_kid=jwtkit.lookup_kid_jwk,
        )
        return told


@login_not_required
@require_safe
@never_cache
def log_in(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Go to the provider. A link and no form: the content policy lets no form lead to another site."""
    # allauth would take more from the address: other scopes, parameters for the provider, connecting accounts.
    then = request.GET.get("next")
    request.GET = QueryDict(urlencode({"next": then} if then else {}))
    return _speak(request, OAuth2LoginView.adapter_view(_Adapter(request, provider_id)))


@login_not_required
@require_safe
@never_cache
def callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Come back from the provider, with what this browser went there with."""
    return _speak(request, OAuth2CallbackView.adapter_view(_Adapter(request, provider_id)))


def _speak(request: HttpRequest, view: Callable[[HttpRequest], HttpResponseBase]) -> HttpResponseBase:
    if not settings.OIDC_NAME:
        raise Http404
    try:
        return view(request)
    except (RequestException, AttributeError, LookupError, TypeError, ValueError) as error:
        # Away, or it says what no provider should; what it says is as good as typed by a stranger.
        log.warning("provider of log-ins does not answer as it should", error=type(error).__name__)
        return _refuse(request, _("%(name)s does not answer as it should.") % {"name": settings.OIDC_NAME}, status=502)


def _is_proved(given: EmailAddress) -> bool:
    # Some providers send the word "false", which is true.
    return given.verified is True


def _refuse(request: HttpRequest, sentence: str, status: int = 403) -> HttpResponse:
    return render(request, "socialaccount/refused.html", {"sentence": sentence}, status=status)
