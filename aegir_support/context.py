from django.conf import settings
from django.http import HttpRequest


def project(request: HttpRequest) -> dict[str, object]:
    """What every page may name: the project, where its source is, and whether this is a demo."""
    return {"project_name": settings.PROJECT_NAME, "source_url": settings.SOURCE_URL, "is_demo": settings.DEMO}
