"""The cache of pages that go on without it."""

import time
from collections.abc import Callable
from typing import Any

import structlog
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as TooSlow

log = structlog.get_logger(__name__)

# Asking a server that hangs costs seconds, and a log-in asks ten times.
QUIET_SECONDS = 5.0
COMPLAIN_SECONDS = 60.0


class _Away:
    """When the server failed this process last."""

    quiet_until = 0.0
    complain_after = 0.0


class CacheThatMayBeAway(RedisCache):
    """Redis or Valkey; while it is away everything is a miss, and nothing is kept.

    So nothing may rest on it that must hold: limits are counted and codes of the second factor crossed off in
    PostgreSQL (members.limits, members.codes). The other way about, whoever stopped the cache would have stopped the
    site.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _Client


class _Client(RedisCacheClient):
    def add(self, *args: Any) -> Any:
        # "It was not there", or locks would be waited for and every code of a second factor would count as used.
        return _ask(super().add, *args, otherwise=True)

    def get(self, key: Any, default: Any) -> Any:
        return _ask(super().get, key, default, otherwise=default)

    def set(self, *args: Any) -> Any:
        return _ask(super().set, *args, otherwise=None)

    def touch(self, *args: Any) -> Any:
        return _ask(super().touch, *args, otherwise=False)

    def delete(self, *args: Any) -> Any:
        return _ask(super().delete, *args, otherwise=False)

    def get_many(self, *args: Any) -> Any:
        return _ask(super().get_many, *args, otherwise={})

    def has_key(self, *args: Any) -> Any:
        return _ask(super().has_key, *args, otherwise=False)

    def incr(self, *args: Any) -> Any:
        value = _ask(super().incr, *args, otherwise=None)
        if value is None:
            raise ValueError("The cache is away.")  # as a miss does
        return value

    def set_many(self, *args: Any) -> Any:
        return _ask(super().set_many, *args, otherwise=None)

    def delete_many(self, *args: Any) -> Any:
        return _ask(super().delete_many, *args, otherwise=None)

    def clear(self) -> Any:
        return _ask(super().clear, otherwise=False)


def _ask(question: Callable[..., Any], *args: Any, otherwise: Any) -> Any:
    now = time.monotonic()
    if now < _Away.quiet_until:
        return otherwise
    try:
        return question(*args)
    except (NoConnection, TooSlow) as error:
        _Away.quiet_until = time.monotonic() + QUIET_SECONDS
        if now >= _Away.complain_after:
            _Away.complain_after = now + COMPLAIN_SECONDS
            log.warning("cache away", error=str(error))
        return otherwise
