"""The texts that are sent through every field, and samples of them for the quick tests.

A sample is drawn by SEED, which the run prints: `HOSTILE_SEED=7 pytest tests/hostile` draws another one, and the seed
of a run that failed draws the same again.
"""

import configparser
import json
import os
import random
import zipfile
from functools import cache
from pathlib import Path

from tests.attacks import ATTACKS

ROOT = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get("HOSTILE_SEED", "20261124"))
WHEEL = ROOT / ".local" / "payloads" / "wapiti3-3.3.2-py3-none-any.whl"

# What wapiti puts in when it runs.
STANDS_FOR = {
    "[LF]": "\n",
    "[FF]": "\f",
    "[TAB]": "\t",
    "[ATTR_SEP]": '" ',
    "[VALUE_SEP]": '="',
    "[PROTO_ENDPOINT]": "https://evil.example/",
    "[EXTERNAL_ENDPOINT]": "https://evil.example/",
}

# Twenty ways to begin a new line where a header or a cell has one line; each ends in a header of the attacker's.
LINE_BREAKS = [
    *(
        "\r\n",
        "\n",
        "\r",
        "\n\r",
        "\r\n\r\n",
        "\n\n",
        "\r\n ",
        "\r\n\t",
        "\n\t",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x1d",
        "\x1e",
    ),
    *("\x85", "\u2028", "\u2029", "%0d%0a", "\\r\\n", "=?utf-8?q?=0D=0A?="),
]
CRLF = [f"Verify fails{each}Bcc: victim@evil.example" for each in LINE_BREAKS]

# What a spreadsheet takes for a formula when a cell begins with it, plain and full-width; for exports.
FORMULAS = [
    f'{start}HYPERLINK("https://evil.example";"x")'
    for start in ("=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "＝", "＋", "－", "＠", '"=', "'=")
]

# Names of files that try to be two things at once; for uploads and the header that names a download.
FILE_NAMES = [
    "../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "photo.html.png",
    "photo.png\x00.html",
    "\u202egnp.exe",
    'a"; filename="evil.html',
    "a\r\nSet-Cookie: sessionid=evil\r\n\r\n<script>alert(1)</script>.png",
    "<img src=x onerror=alert(1)>.png",
    "con.png",
    "a" * 300 + ".png",
    ".htaccess",
    "%2e%2e%2fetc%2fpasswd",
    "ﬁle\u200b.png",
]


@cache
def naughty() -> list[str]:
    """The Big List of Naughty Strings, all 511."""
    return json.loads((ROOT / "tests" / "data" / "blns.json").read_text(encoding="utf-8"))


@cache
def scanner() -> list[str]:
    """The XSS payloads of wapiti3, as it would send them. Fails where `.ci/payloads` has not fetched them."""
    assert WHEEL.is_file(), f"{WHEEL.relative_to(ROOT)} is missing: run .ci/payloads"
    ini = configparser.ConfigParser(interpolation=None)
    with zipfile.ZipFile(WHEEL) as wheel:
        ini.read_string(wheel.read("wapitiCore/data/attacks/xssPayloads.ini").decode())
    return [_filled_in(ini[section]["payload"]) for section in ini.sections()]


def _filled_in(payload: str) -> str:
    for mark, text in STANDS_FOR.items():
        payload = payload.replace(mark, text)
    return payload


def everything() -> list[str]:
    """Every text there is, each once: our attacks, the naughty strings, the scanner's, line breaks and formulas."""
    return list(dict.fromkeys([*ATTACKS, *naughty(), *scanner(), *CRLF, *FORMULAS]))


def sample(texts: list[str], count: int, salt: object = "") -> list[str]:
    """`count` of the texts, the same ones for the same seed and salt."""
    return random.Random(f"{SEED} {salt}").sample(texts, min(count, len(texts)))


def kept_here() -> list[str]:
    """The texts this checkout has without fetching any."""
    return list(dict.fromkeys([*ATTACKS, *naughty(), *CRLF, *FORMULAS]))
