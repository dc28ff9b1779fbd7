"""Files that people of the demo attach: a screenshot that we draw, and logs. Invented."""

from __future__ import annotations

import io

from django.core.files.base import ContentFile
from PIL import Image, ImageDraw, ImageFont

from .files import NamedFile, store_all

PAPER, INK, BAR, RED, LINE = "#f7f7f7", "#24292f", "#1f3a5f", "#b3402f", "#d5d8dc"


def log_file(name: str, words: str) -> NamedFile:
    """A text file, kept."""
    return store_all([ContentFile(words.encode(), name=name)])[0]


def screenshot(name: str, address: str, title: str, lines: list[str]) -> NamedFile:
    """A browser's window that shows an error, kept."""
    picture = Image.new("RGB", (1280, 760), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 0, 1280, 64], fill="#e3e5e8")
    for place, colour in enumerate(["#e0675c", "#e2b04a", "#6fae6a"]):
        draw.ellipse([24 + 28 * place, 24, 40 + 28 * place, 40], fill=colour)
    draw.rounded_rectangle([140, 14, 1240, 50], radius=18, fill="white")
    draw.text((164, 22), address, fill=INK, font=_font(18))
    draw.rectangle([0, 64, 1280, 128], fill=BAR)
    draw.text((48, 82), "Hosting", fill="white", font=_font(26))
    draw.text((48, 168), title, fill=INK, font=_font(34))
    draw.rounded_rectangle([48, 236, 1232, 266 + 40 * len(lines)], radius=8, fill="white", outline=LINE)
    draw.rectangle([48, 236, 56, 266 + 40 * len(lines)], fill=RED)
    for place, line in enumerate(lines):
        draw.text((84, 252 + 40 * place), line, fill=INK if place else RED, font=_font(20))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return store_all([ContentFile(written.getvalue(), name=name)])[0]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
