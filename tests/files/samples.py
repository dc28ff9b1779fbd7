"""Small files for tests."""

import io

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from aegir_support import files


def picture(kind="PNG", size=(60, 40), colour="teal", **options):
    """The bytes of a picture in one colour."""
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, kind, **options)
    return written.getvalue()


def upload(name="error.png", content=None):
    """A file as a form sends it."""
    return SimpleUploadedFile(name, picture() if content is None else content)


def kept(name="error.png", content=None):
    """A file that is kept, under its name, for an action."""
    return files.store_all([upload(name, content)])[0]
