"""Programs of ours, in processes of their own, on this test's database."""

import os
from urllib.parse import quote

from django.conf import settings
from django.db import connection


def environment(**facts):
    """The variables that lead a program to this test's database, which is another one for each worker of xdist."""
    database = connection.settings_dict
    secret = f":{quote(database['PASSWORD'], safe='')}" if database["PASSWORD"] else ""
    port = f"&port={database['PORT']}" if database["PORT"] else ""
    url = f"postgresql://{database['USER']}{secret}@/{database['NAME']}?host={quote(database['HOST'], safe='')}{port}"
    return os.environ | {"DATABASE_URL": url, "DATABASE_POOL_SIZE": "2"} | facts


def here():
    return settings.BASE_DIR
