import os

from django.core.wsgi import get_wsgi_application

from .bodies import whole

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aegir_support.settings")
application = whole(get_wsgi_application())


def _warm_up() -> None:
    """Load now what the first people would else wait for, all of them for the same third of a second of one core."""
    from django.conf import settings  # noqa: PLC0415 - only when Django is set up
    from django.template.loader import get_template  # noqa: PLC0415
    from django.urls import reverse  # noqa: PLC0415

    reverse("landing")  # loads every address and with it every view
    for folder in settings.TEMPLATES[0]["DIRS"]:
        for page in folder.rglob("*.html"):
            get_template(str(page.relative_to(folder)))


def _watch() -> None:
    """Count together with the other processes of this web server, and look after the jobs."""
    from . import metrics, watchdog  # noqa: PLC0415 - only when Django is set up

    metrics.share_between_processes()
    watchdog.start()


_warm_up()
_watch()
