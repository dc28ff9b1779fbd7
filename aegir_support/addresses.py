"""What Django and Celery need to know to reach a server, made from its address."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from psycopg.conninfo import conninfo_to_dict

_CONNINFO_TO_DJANGO = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def django_database(url: str, *, pool_size: int, session: Mapping[str, str]) -> dict[str, Any]:
    """The entry of DATABASES for a PostgreSQL address.

    `pool_size` is the most connections one process holds; 0 opens one for each request instead, as behind PgBouncer.
    `session` are server settings each connection starts with, those without a value left out. Query options of the
    address (`?sslmode=require`) are passed on.
    """
    parts = conninfo_to_dict(url)
    entry: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql"}
    for part, key in _CONNINFO_TO_DJANGO.items():
        entry[key] = str(parts.pop(part, None) or "")
    asked = [f"-c {name}={value}" for name, value in session.items() if value]
    options: dict[str, Any] = {"connect_timeout": 5, **parts}
    # PgBouncer refuses a connection that asks for anything, so where there is nothing to ask for we say nothing at all.
    if words := " ".join([*asked, str(parts.get("options") or "")]).strip():
        options["options"] = words
    if pool_size:
        # Both are short because a page should say that the database is away while somebody is still looking at it, and
        # because a pool that backs off for long would go on failing after the database is back.
        options["pool"] = {"min_size": 1, "max_size": pool_size, "timeout": 5, "reconnect_timeout": 5}
    # Another's pool may hand the next transaction another connection, where a cursor of the last one is unknown.
    entry["DISABLE_SERVER_SIDE_CURSORS"] = not pool_size
    return entry | {"OPTIONS": options, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}


def broker_url(redis_url: str) -> str:
    """The same server as Celery spells it: kombu has its own scheme for a socket and its own name for `db`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    query = dict(parse_qsl(parts.query))
    query["virtual_host"] = query.pop("db", "0")
    at = parts.netloc.rpartition("@")[0]
    return f"redis+socket://{at}{'@' if at else ''}{parts.path}?{urlencode(query)}"
