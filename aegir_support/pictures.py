"""Pictures that strangers send, drawn anew: what is shown in a page was written by us, and is a picture and no more.

A picture's size is read from its first bytes, before anything is decoded, so that a few kilobytes that unfold into
gigabytes cost nothing. Only the first frame of an animation is drawn. What Pillow does not read to the end is no
picture; it stays a file to download.
"""

from __future__ import annotations

import io
import threading
import warnings
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, ImageOps

MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
FORMATS = tuple(MEDIA_TYPES)
# No picture takes more than 256 MB and five seconds of a web process (tests/files/test_cost.py): a phone's photo
# and a 6K screen fit. WebP is held three times while it is read, and a progressive JPEG whole.
MAX_PIXELS = {"PNG": 21_000_000, "JPEG": 24_000_000, "GIF": 21_000_000, "WEBP": 9_000_000}
MAX_PIXELS_OF_PROGRESSIVE = 12_000_000
SHOWN_PX = 2048
THUMBNAIL_PX = 480
DRAWN_AS = "image/webp"
# What one picture may cost, a process pays once, however many of its threads take files at this moment.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Drawing:
    """A picture drawn anew, in two sizes, as WebP; `width` and `height` are those of the larger one, in pixels."""

    media_type: str
    shown: bytes
    thumbnail: bytes
    width: int
    height: int


class TooLarge(Exception):
    """A picture of `media_type` by its first bytes, with more pixels than we draw."""

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type


def draw(file: BinaryIO) -> Drawing | None:
    """The picture in this file without anything that came along with it (EXIF, comments, what follows its end).

    None where the file is no PNG, JPEG, GIF or WebP, or is broken. Raises TooLarge.
    """
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd pictures; we draw them or leave them
            return _draw(file)
    except TooLarge:
        raise
    except Exception:  # noqa: BLE001 - Pillow's readers raise whatever a broken picture makes them stumble over
        return None


def _draw(file: BinaryIO) -> Drawing:
    file.seek(0)
    picture = Image.open(file, formats=FORMATS)
    media_type = MEDIA_TYPES[str(picture.format)]
    if picture.width * picture.height > _max_pixels(picture):
        raise TooLarge(media_type)
    # A JPEG can be decoded at a fraction of its size.
    picture.draft("RGB", (SHOWN_PX, SHOWN_PX))
    picture.load()
    smaller = _reduced(picture)
    del picture  # its pixels are needed no more
    shown = _plain(smaller)
    thumbnail = shown.copy()
    thumbnail.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return Drawing(media_type, _webp(shown, 90), _webp(thumbnail, 80), shown.width, shown.height)


def _max_pixels(picture: Image.Image) -> int:
    if picture.info.get("progressive"):
        return MAX_PIXELS_OF_PROGRESSIVE
    return MAX_PIXELS[str(picture.format)]


def _reduced(picture: Image.Image) -> Image.Image:
    """In plain colours, and a whole number of times smaller, as long as it stays large enough.

    Channel by channel, which needs half as much memory.
    """
    if picture.mode not in {"RGB", "RGBA", "L"}:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    factor = max(picture.size) // SHOWN_PX
    if factor < 2:
        return picture
    channels = [picture.getchannel(channel).reduce(factor) for channel in picture.getbands()]
    smaller = channels[0] if len(channels) == 1 else Image.merge(picture.mode, channels)
    smaller.info = picture.info
    return smaller


def _plain(picture: Image.Image) -> Image.Image:
    """At most `SHOWN_PX` wide and high, upright, and nothing but pixels."""
    picture.thumbnail((SHOWN_PX, SHOWN_PX))
    upright = ImageOps.exif_transpose(picture)
    plain = Image.new(upright.mode, upright.size)
    plain.paste(upright)
    return plain


def _webp(picture: Image.Image, quality: int) -> bytes:
    written = io.BytesIO()
    picture.save(written, "WEBP", quality=quality, method=2)
    return written.getvalue()
