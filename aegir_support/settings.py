"""Every setting, read from the environment; `.env.example` lists each variable with its meaning.

DEPLOYMENT is `production` unless the demo or the tests say otherwise, and production has no default for a secret.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import django_stubs_ext
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from . import addresses, embedded, env, logs

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
DEPLOYMENT = env.text("DEPLOYMENT", "production")
if DEPLOYMENT not in {"production", "demo", "test"}:
    raise ImproperlyConfigured(f"DEPLOYMENT is production, demo or test; it says {DEPLOYMENT!r}.")
PRODUCTION = DEPLOYMENT == "production"
DEMO = DEPLOYMENT == "demo"

# What this portal calls itself. Any project can run it under its own name.
PROJECT_NAME = env.text("PROJECT_NAME", "Ægir Support")
# Where users get the source of what runs here, as the AGPL asks of whoever has changed it; empty for no link.
SOURCE_URL = env.text("SOURCE_URL", "")
SITE_URL = env.text("SITE_URL", None if PRODUCTION else f"http://localhost:{env.number('PORT', 8000)}").rstrip("/")
FORUM_URL = env.text("FORUM_URL", "" if PRODUCTION else "https://forum.aegir.example/")

# Secrets and addresses
SECRET_KEY = env.text("SECRET_KEY", None if PRODUCTION else "not-a-secret-" * 5)
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS", "")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", None if PRODUCTION else "localhost,127.0.0.1,[::1],testserver")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", SITE_URL)
LOCAL_DIR = Path(env.text("LOCAL_DIR", str(BASE_DIR / ".local" / DEPLOYMENT)))

# The demo and the tests bring their own PostgreSQL and Valkey; production names its servers.
DATABASE_URL = env.text("DATABASE_URL", None if PRODUCTION else embedded.database_url(LOCAL_DIR))
REDIS_URL = env.text("REDIS_URL", None if PRODUCTION else embedded.redis_url(LOCAL_DIR))

INSTALLED_APPS = [
    "referrals",
    "tickets",
    "billing",
    "members",
    "aegir_support",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_htmx",
]

MIDDLEWARE = [
    "aegir_support.middleware.RequestIdMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "aegir_support.middleware.ProbeMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "aegir_support.middleware.PrivateMiddleware",
    "aegir_support.middleware.OutageMiddleware",
    "aegir_support.middleware.OvertakenMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "aegir_support.middleware.DeedsMiddleware",
    "aegir_support.middleware.LogInMiddleware",
    "members.middleware.SecondFactorMiddleware",
    "members.middleware.LastSeenMiddleware",
    "members.middleware.TimeZoneMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "aegir_support.urls"
WSGI_APPLICATION = "aegir_support.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "aegir_support.context.project",
                "members.navigation.navigation",
            ],
        },
    },
]

# PostgreSQL. A request that waits longer than these is broken off rather than piled up.
DATABASES: dict[str, dict[str, Any]] = {
    "default": addresses.django_database(
        DATABASE_URL,
        pool_size=env.number("DATABASE_POOL_SIZE", 8),
        session={
            "statement_timeout": env.text_or_nothing("DATABASE_STATEMENT_TIMEOUT", "15s"),
            "lock_timeout": env.text_or_nothing("DATABASE_LOCK_TIMEOUT", "3s"),
            "idle_in_transaction_session_timeout": env.text_or_nothing("DATABASE_IDLE_TIMEOUT", "30s"),
        },
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "aegir_support.cache.CacheThatMayBeAway",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
    }
}

# Celery. The broker only hurries work along: what must not be lost is a row (docs/decisions/).
CELERY_BROKER_URL = addresses.broker_url(REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 1, "socket_timeout": 5, "visibility_timeout": 600}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a broker that is away for a day is waited for
CELERY_BEAT_SCHEDULER = "aegir_support.celery:PromptScheduler"
# A job that no worker took before the next one was due is dropped: after a day without workers there is one to do, not
# thousands.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "drain the outbox": {
        "task": "aegir_support.tasks.drain_outbox",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 9},
    },
    "sweep the queue": {"task": "tickets.tasks.sweep", "schedule": timedelta(seconds=30), "options": {"expires": 25}},
    "scan files": {
        "task": "aegir_support.tasks.scan_files",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 9},
    },
    "remove unused files": {
        "task": "aegir_support.tasks.remove_unused_files",
        "schedule": crontab(minute="50"),
        "options": {"expires": 3000},
    },
    "beat the heart": {
        "task": "aegir_support.tasks.heartbeat",
        "schedule": crontab(),
        "options": {"expires": 55},
    },
    "check invariants": {
        "task": "aegir_support.tasks.check_invariants",
        "schedule": crontab(hour="3", minute="50"),
        "options": {"expires": 12 * 3600},
    },
    "forget what ran": {
        "task": "aegir_support.tasks.forget_job_runs",
        "schedule": crontab(hour="3", minute="30"),
        "options": {"expires": 12 * 3600},
    },
    "forget what was counted": {
        "task": "members.tasks.forget",
        "schedule": crontab(hour="3", minute="40"),
        "options": {"expires": 12 * 3600},
    },
    "forget what was told": {
        "task": "aegir_support.tasks.forget_outbox",
        "schedule": crontab(hour="3", minute="20"),
        "options": {"expires": 12 * 3600},
    },
}

# Accounts
AUTH_USER_MODEL = "members.User"
AUTHENTICATION_BACKENDS = ["members.access.Backend"]
PASSWORD_HASHERS = (
    ["django.contrib.auth.hashers.MD5PasswordHasher"]
    if DEPLOYMENT == "test"
    else ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
)
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["name", "email"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "members:home"
LOGOUT_REDIRECT_URL = "landing"
ACCOUNT_ADAPTER = "members.accounts.AccountAdapter"
ACCOUNT_FORMS = {
    "reset_password": "members.accounts.AskForPasswordForm",
    "reset_password_from_key": "members.accounts.ChoosePasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGIN_ON_PASSWORD_RESET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if SITE_URL.startswith("https:") else "http"
# "Is it still you?" is asked before what gives access or moves money, unless it was answered so many seconds ago.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
# members.limits counts, in PostgreSQL; allauth's own counts live in the cache, and a cache may be away.
ACCOUNT_RATE_LIMITS = False
MFA_RATE_LIMITS = False
RATE_LIMITS = DEPLOYMENT != "test"
ALLAUTH_TRUSTED_PROXY_COUNT = env.number("TRUSTED_PROXY_COUNT", 0)
MFA_ADAPTER = "members.accounts.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = PROJECT_NAME
MFA_FORMS = {
    "authenticate": "members.accounts.CodeForm",
    "reauthenticate": "members.accounts.CodeAgainForm",
    "activate_totp": "members.accounts.SetUpAppForm",
    "add_webauthn": "members.accounts.AddPasskeyForm",
    "authenticate_webauthn": "members.accounts.PasskeyForm",
    "login_webauthn": "members.accounts.PasskeyLogInForm",
    "reauthenticate_webauthn": "members.accounts.PasskeyAgainForm",
}
# Members, the bookkeeper and admins must use a second factor, except where nobody's income is at stake.
SECOND_FACTOR_REQUIRED = PRODUCTION

# Log-in by somebody else's accounts, with OpenID Connect; off without an issuer.
OIDC_ISSUER = env.text("OIDC_ISSUER", "").rstrip("/")
OIDC_NAME = env.text("OIDC_NAME", None) if OIDC_ISSUER else ""
if PRODUCTION and OIDC_ISSUER and not OIDC_ISSUER.startswith("https://"):
    raise ImproperlyConfigured("OIDC_ISSUER begins with https://, or anybody in between could log in as anybody.")
SOCIALACCOUNT_ADAPTER = "members.oidc.SocialAdapter"
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {
    "openid_connect": {
        "APPS": [
            {
                "provider_id": "oidc",
                "name": OIDC_NAME,
                "client_id": env.text("OIDC_CLIENT_ID", None),
                "secret": env.text("OIDC_CLIENT_SECRET", None),
                "settings": {"server_url": OIDC_ISSUER, "oauth_pkce_enabled": True},
            }
        ]
        if OIDC_ISSUER
        else []
    }
}

# Mail goes out through the outbox (aegir_support.mail)
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if PRODUCTION or os.environ.get("EMAIL_HOST")
    else "django.core.mail.backends.dummy.EmailBackend"
)
EMAIL_HOST = env.text("EMAIL_HOST", None if PRODUCTION else "localhost")
EMAIL_PORT = env.number("EMAIL_PORT", 587)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=PRODUCTION)
EMAIL_TIMEOUT = 20
# What a mail said is kept after it is sent only where the demo's mailbox shows it.
OUTBOX_KEEP_PAYLOAD = not PRODUCTION
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", None if PRODUCTION else f"{PROJECT_NAME} <support@aegir.example>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Language and time
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.text("TIME_ZONE", "UTC")

# Files
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles" if PRODUCTION else None
STATICFILES_DIRS = [BASE_DIR / "static"]
# What people send and what we make is private: in S3 where a bucket is named, else in a folder that nobody serves.
S3_BUCKET = env.text("S3_BUCKET", "")
FILES_DIR = env.text("FILES_DIR", None if PRODUCTION and not S3_BUCKET else str(LOCAL_DIR / "files"))
PRIVATE_FOLDER: dict[str, Any] = {
    "BACKEND": "aegir_support.storage.PrivateFolder",
    "OPTIONS": {"location": FILES_DIR},
}
PRIVATE_BUCKET: dict[str, Any] = {
    "BACKEND": "storages.backends.s3.S3Storage",
    "OPTIONS": {
        "bucket_name": S3_BUCKET,
        "endpoint_url": env.text("S3_ENDPOINT_URL", "") or None,
        "region_name": env.text("S3_REGION", "") or None,
        "access_key": env.text("S3_ACCESS_KEY_ID", "") or None,
        "secret_key": env.text("S3_SECRET_ACCESS_KEY", "") or None,
        "default_acl": None,  # as the bucket has it, which is private; many services refuse to be told
        "file_overwrite": True,
        "querystring_auth": True,
        "addressing_style": "path" if os.environ.get("S3_ENDPOINT_URL") else "auto",
        "max_memory_size": 1_000_000,
    },
}
STORAGES = {
    "default": PRIVATE_BUCKET if S3_BUCKET else PRIVATE_FOLDER,
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEPLOYMENT == "test"  # each test browser would list all files first
# A text that is far too long still comes back to its writer with a sentence; beyond this the request is not read.
DATA_UPLOAD_MAX_MEMORY_SIZE = 12_000_000
# Files beyond this in one request are not kept, whatever a tier allows; what is sent waits in FILE_UPLOAD_TEMP_DIR.
UPLOAD_MAX_MB = env.number("UPLOAD_MAX_MB", 100)
FILE_UPLOAD_HANDLERS = [
    "aegir_support.uploads.Ceiling",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_TEMP_DIR = env.text("UPLOAD_TEMP_DIR", "") or None
# A virus scanner's address; without one every file counts as clean.
CLAMAV_ADDRESS = env.text("CLAMAV_ADDRESS", "")

# Security
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],  # Tabler's CSS draws its check marks, allauth its QR code, from data: addresses
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=PRODUCTION)
SECURE_REDIRECT_EXEMPT = [r"^-/"]
# The last two bind every host name below ours, and cannot be taken back for months.
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", 31_536_000 if PRODUCTION else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.flag("SECURE_HSTS_PRELOAD", default=False)
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ALLAUTH_TRUSTED_PROXY_COUNT else None
SESSION_ENGINE = "aegir_support.sessions"
SESSION_COOKIE_SECURE = PRODUCTION  # also where a proxy redirects in our place
SESSION_COOKIE_AGE = 14 * 24 * 3600
CSRF_COOKIE_SECURE = PRODUCTION
CSRF_FAILURE_VIEW = "aegir_support.views.csrf_failure"
X_FRAME_OPTIONS = "DENY"

# Observability. METRICS_TOKEN opens /-/metrics; without one there is no such page.
RELEASE = env.text("RELEASE", "unknown")
METRICS_TOKEN = env.secret("METRICS_TOKEN", at_least=20)
METRICS_DIR = env.text("METRICS_DIR", "")
# How often each web process looks whether the jobs are alive, in seconds; never in tests unless they ask for it.
WATCHDOG_SECONDS = env.number("WATCHDOG_SECONDS", 0 if DEPLOYMENT == "test" else 20)
HEARTBEAT_ALARM_MINUTES: float = env.number("HEARTBEAT_ALARM_MINUTES", 3)
HEARTBEAT_URL = env.https_address("HEARTBEAT_URL")
ALARM_EMAIL = env.words("ALARM_EMAIL", "")
SENTRY_DSN = env.text("SENTRY_DSN", "")

LOGGING_CONFIG = None
logs.configure(level=env.text("LOG_LEVEL", "WARNING" if DEPLOYMENT == "test" else "INFO"), as_json=PRODUCTION)
if SENTRY_DSN:
    from . import error_reports  # it imports half of sentry_sdk, which nobody else needs

    error_reports.start(SENTRY_DSN, release=RELEASE, environment=DEPLOYMENT)
