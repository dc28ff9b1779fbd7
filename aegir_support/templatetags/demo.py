"""The demo's logins, for its login page. The cast imports every app, so it is asked only when it is shown."""

from importlib import import_module

from django import template

register = template.Library()


@register.simple_tag
def demo_logins() -> list[tuple[str, str]]:
    """Each demo login: the e-mail address, and who that is."""
    logins: list[tuple[str, str]] = import_module("aegir_support.demo").LOGINS
    return logins


@register.simple_tag
def demo_password() -> str:
    """The one password all demo logins share."""
    return str(import_module("aegir_support.demo").PASSWORD)
