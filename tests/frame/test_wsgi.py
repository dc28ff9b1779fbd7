"""A web process is ready when it starts to listen."""

import subprocess
import sys

import pytest
from django.conf import settings

FIRST_PAGE = """
import sys, time
from aegir_support.wsgi import application
from django.template import engines
[loader] = engines["django"].engine.template_loaders
print("tickets.urls" in sys.modules, {"base.html", "tickets/ticket.html"} <= set(loader.get_template_cache))
"""


@pytest.mark.processes
def test_addresses_and_templates_are_loaded_before_the_first_request():
    words = [sys.executable, "-c", FIRST_PAGE]
    done = subprocess.run(words, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
