from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from . import deeds_page, metrics, views

# The admin's own login page would let a password in without the second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", views.landing, name="landing"),
    path("accounts/", include("members.account_urls")),
    path("", include("members.urls")),
    path("", include("billing.urls")),
    path("", include("tickets.urls")),
    path("", include("referrals.urls")),
    path("deeds/", deeds_page.deeds, name="deeds"),
    path("admin/", admin.site.urls),
    path("-/health", views.health, name="health"),
    path("-/ready", views.ready, name="ready"),
    path("-/metrics", metrics.metrics, name="metrics"),
]
if settings.DEMO or settings.DEPLOYMENT == "test":
    urlpatterns.append(path("demo/mail/", views.sent_mail, name="sent_mail"))

handler400 = "aegir_support.views.bad_request"
handler403 = "aegir_support.views.permission_denied"
handler404 = "aegir_support.views.page_not_found"
handler500 = "aegir_support.views.server_error"
