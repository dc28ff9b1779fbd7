from django.conf import settings
from django.http import HttpRequest

from . import watchdog


def project(request: HttpRequest) -> dict[str, object]:
    """What every page may name: the project, where its source is, who else logs in here, and whether this is a demo."""
    return {
        "project_name": settings.PROJECT_NAME,
        "source_url": settings.SOURCE_URL,
        "oidc_name": settings.OIDC_NAME,
        "is_demo": settings.DEMO,
        "jobs_are_silent": watchdog.jobs_are_silent() and _looks_after_it(request),
    }


def _looks_after_it(request: HttpRequest) -> bool:
    # Asked only while something is wrong. What a user is, the ground knows by these two words alone.
    user = getattr(request, "user", None)
    return bool(getattr(user, "is_staff", False) or getattr(user, "is_coordinator", False))
