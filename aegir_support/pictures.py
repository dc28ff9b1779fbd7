"""Pictures that strangers send, drawn anew: what is shown in a page was written by us, and is a picture and no more.

A picture's size is read from its first bytes, before anything is decoded, so that a few kilobytes that unfold into
gigabytes cost nothing. Only the first frame of an animation is drawn. What Pillow does not read to the end is no
picture; it stays a file to download.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
# Pillow's WebP decoder holds a picture three times.
MAX_PIXELS = {"PNG": 24_000_000, "JPEG": 24_000_000, "GIF": 24_000_000, "WEBP": 12_000_000}
SHOWN_PX = 2048
THUMBNAIL_PX = 480
DRAWN_AS = "image/webp"


@dataclass(frozen=True)
class Drawing:
    """A picture drawn anew, in two sizes, as WebP; `width` and `height` are those of the larger one, in pixels."""

    media_type: str
    shown: bytes
    thumbnail: bytes
    width: int
    height: int


def draw(file: BinaryIO) -> Drawing | None:
    """The picture in this file without anything that came along with it (EXIF, comments, what follows its end).

    None where the file is no PNG, JPEG, GIF or WebP, is broken, or has too many pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd pictures; we draw them or leave them
            return _draw(file)
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError, KeyError, OverflowError, MemoryError):
        return None  # what Pillow's readers raise on broken pictures; none of it is our fault
    except (Image.DecompressionBombError, ZeroDivisionError):
        return None


def _draw(file: BinaryIO) -> Drawing | None:
    file.seek(0)
    with Image.open(file, formats=FORMATS) as picture:
        kind = str(picture.format)
        if picture.width * picture.height > MAX_PIXELS[kind]:
            return None
        # A JPEG can be decoded at a fraction of its size.
        picture.draft("RGB", (SHOWN_PX, SHOWN_PX))
        picture.load()
        shown = _plain(picture)
    thumbnail = shown.copy()
    thumbnail.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return Drawing(MEDIA_TYPES[kind], _webp(shown, 90), _webp(thumbnail, 80), shown.width, shown.height)


def _plain(picture: Image.Image) -> Image.Image:
    """At most `SHOWN_PX` wide and high, upright, in plain colours."""
    has_alpha = picture.has_transparency_data
    if picture.mode not in {"RGB", "RGBA", "L"}:
        picture = picture.convert("RGBA" if has_alpha else "RGB")
    picture.thumbnail((SHOWN_PX, SHOWN_PX))
    upright = ImageOps.exif_transpose(picture)
    plain = Image.new(upright.mode, upright.size)
    plain.paste(upright)  # pixels and nothing else
    return plain


def _webp(picture: Image.Image, quality: int) -> bytes:
    written = io.BytesIO()
    picture.save(written, "WEBP", quality=quality, method=2)
    return written.getvalue()
