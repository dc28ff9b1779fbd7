"""Read the environment: a missing or odd variable stops the start with a sentence that names it."""

import os

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """The variable's value, or `default`. Raises ImproperlyConfigured where there is neither."""
    value = os.environ.get(name) or default
    if value is None:
        raise ImproperlyConfigured(f"Set {name}; .env.example says what it means.")
    return value


def text_or_nothing(name: str, default: str) -> str:
    """The variable's value, also where it is set to nothing; `default` only where it is not set at all."""
    return os.environ.get(name, default)


def flag(name: str, *, default: bool) -> bool:
    """True for 1, true, yes and on; False for 0, false, no and off, in any case."""
    value = os.environ.get(name, "").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    if value == "":
        return default
    raise ImproperlyConfigured(f"{name} is a yes or a no; it says {value!r}.")


def number(name: str, default: int) -> int:
    """A whole number."""
    value = os.environ.get(name) or str(default)
    if not value.isdecimal():
        raise ImproperlyConfigured(f"{name} is a whole number; it says {value!r}.")
    return int(value)


def secret(name: str, *, at_least: int) -> str:
    """The variable's value, or nothing where it is not set. Raises ImproperlyConfigured where it is too short."""
    value = os.environ.get(name) or ""
    if 0 < len(value) < at_least:
        raise ImproperlyConfigured(f"{name} has at least {at_least} characters; it has {len(value)}.")
    return value


def https_address(name: str) -> str:
    """An https:// address, or nothing. Raises ImproperlyConfigured, without the value: it may hold a secret."""
    value = os.environ.get(name) or ""
    if value and not value.startswith("https://"):
        raise ImproperlyConfigured(f"{name} begins with https://.")
    return value


def words(name: str, default: str | None = None) -> list[str]:
    """Values parted by commas, blanks taken off, empty ones left out."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]
