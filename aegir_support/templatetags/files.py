"""How files are told of in pages."""

from django import template

from aegir_support.uploads import megabytes

register = template.Library()


@register.simple_tag
def file_size(size: int) -> str:
    """A number of bytes as people read it: 1.5 MB."""
    return megabytes(size)
