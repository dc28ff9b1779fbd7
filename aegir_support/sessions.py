"""Sessions in the database, named only by keys that we could have given."""

import re

from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore

_OURS = re.compile("[a-z0-9]{32}")


class SessionStore(DatabaseSessionStore):
    """Django's own, for a cookie that may say anything: PostgreSQL refuses a NUL, and each page would fail with it."""

    def _validate_session_key(self, key: str | None) -> bool:
        return key is not None and _OURS.fullmatch(key) is not None
