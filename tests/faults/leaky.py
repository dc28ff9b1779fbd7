"""The website as production has it, and on request with a leak: `granian tests.faults.leaky:application`.

LEAK=password logs what is typed as a password. LEAK=details lets the log say all that PostgreSQL says of an error.
Static files are served from where they are, so that no test has to collect them first.
"""

import os
import re

import structlog
from django.conf import settings

settings.STORAGES = settings.STORAGES | {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}

from aegir_support import logs  # noqa: E402
from aegir_support.wsgi import application  # noqa: E402

__all__ = ["application"]

match os.environ.get("LEAK"):
    case "password":
        from members.access import Backend

        authenticate = Backend.authenticate

        def tell(self, request, **facts):
            structlog.get_logger("members").info("log-in", facts=sorted(facts.values(), key=str))
            return authenticate(self, request, **facts)

        Backend.authenticate = tell
    case "details":
        logs._DETAILS = re.compile("(?!)")
