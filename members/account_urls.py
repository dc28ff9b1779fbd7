"""Everything below /accounts/: allauth's pages, with our limits and sessions around those that need them.

Of two patterns for one address the first counts, so allauth's own come last.
"""

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as passkeys
from django.urls import include, path

from . import limits, oidc, views
from .access import needs_fresh_log_in
from .limits import limited
from .sessions import keeping_this_one

urlpatterns = [
    path("login/", limited(limits.LOG_IN)(account.login), name="account_login"),
    path("reauthenticate/", limited(limits.IS_IT_YOU)(account.reauthenticate), name="account_reauthenticate"),
    path("email/", limited(limits.CONFIRM)(account.email), name="account_email"),
    path(
        "password/change/",
        limited(limits.IS_IT_YOU)(keeping_this_one(account.password_change)),
        name="account_change_password",
    ),
    path(
        "password/set/",
        needs_fresh_log_in(keeping_this_one(account.password_set)),
        name="account_set_password",
    ),
    path("password/reset/", limited(limits.RESET)(account.password_reset), name="account_reset_password"),
    path("2fa/authenticate/", limited(limits.SECOND_FACTOR)(mfa.authenticate), name="mfa_authenticate"),
    path("2fa/reauthenticate/", limited(limits.SECOND_FACTOR)(mfa.reauthenticate), name="mfa_reauthenticate"),
    path(
        "2fa/totp/activate/",
        limited(limits.SECOND_FACTOR)(keeping_this_one(totp.activate_totp)),
        name="mfa_activate_totp",
    ),
    path("2fa/totp/deactivate/", keeping_this_one(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path(
        "2fa/recovery-codes/generate/",
        keeping_this_one(recovery_codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path("2fa/webauthn/add/", keeping_this_one(passkeys.add_webauthn), name="mfa_add_webauthn"),
    path("2fa/webauthn/keys/<int:pk>/remove/", keeping_this_one(passkeys.remove_webauthn), name="mfa_remove_webauthn"),
    path("2fa/webauthn/login/", limited(limits.PASSKEY)(passkeys.login_webauthn), name="mfa_login_webauthn"),
    path(
        "2fa/webauthn/reauthenticate/",
        limited(limits.SECOND_FACTOR)(passkeys.reauthenticate_webauthn),
        name="mfa_reauthenticate_webauthn",
    ),
    path("sessions/", views.sessions, name="sessions"),
    path("sessions/<int:pk>/end/", views.end_session, name="end_session"),
    path("sessions/end/", views.end_other_sessions, name="end_other_sessions"),
    path("oidc/login/", oidc.log_in, {"provider_id": oidc.PROVIDER}, name="openid_connect_login"),
    path("oidc/login/callback/", oidc.callback, {"provider_id": oidc.PROVIDER}, name="openid_connect_callback"),
    path("", include("allauth.account.urls")),
    path("2fa/", include("allauth.mfa.urls")),
]
