"""What others wrote and we serve: every file is the one its manifest names, and nothing else slips in."""

import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "static" / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
NAMES_AN_ICON = re.compile(r'{%\s*icon "([a-z0-9-]+)"|\bicon="([a-z0-9-]+)"')
# Mail clients know no style sheets, and a mail is not served under our policy.
PAGES = [page for page in TEMPLATES if "emails" not in page.parts and "email" not in page.parts]


@pytest.mark.parametrize("package", MANIFEST, ids=lambda package: package["name"])
def test_vendored_files_are_what_the_manifest_says(package):
    assert package["version"]
    assert package["source"].endswith(package["version"])
    assert "LICENSE" in package["files"]
    for name, sha256 in package["files"].items():
        assert hashlib.sha256((VENDOR / package["name"] / name).read_bytes()).hexdigest() == sha256, name


def test_no_other_file_lies_among_the_vendored():
    listed = {f"{package['name']}/{name}" for package in MANIFEST for name in package["files"]}
    there = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert there == listed | {"manifest.json"}


def test_vendored_styles_and_scripts_ask_for_nothing_we_do_not_have():
    """A source map or a font that is not there stops `collectstatic` in production."""
    for path in [*VENDOR.rglob("*.css"), *VENDOR.rglob("*.js")]:
        text = path.read_text()
        assert "sourceMappingURL" not in text, path
        assert not [url for url in re.findall(r"url\(['\"]?([^)'\"]+)", text) if not url.startswith(("data:", "#"))], (
            path
        )


def test_every_icon_a_template_names_is_in_the_sprite():
    sprite = set(re.findall(r'<symbol id="([a-z0-9-]+)"', (ROOT / "static" / "icons.svg").read_text()))
    for page in TEMPLATES:
        for found in NAMES_AN_ICON.findall(page.read_text()):
            assert set(filter(None, found)) <= sprite, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_a_script_or_a_style_inside(page):
    """The content security policy would silently drop it."""
    text = re.sub(r"{%.*?%}", "", page.read_text())
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=\"", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
