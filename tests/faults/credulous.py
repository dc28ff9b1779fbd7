"""The site without its guard: it takes whatever has come of a request for all of it."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
