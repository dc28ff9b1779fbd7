#!/usr/bin/env python3
"""Ask whether any package we pin has a known vulnerability, and fail unless each one of them was really looked up.

pip-audit says "No known vulnerabilities found" and exits with 0 also where its service knew not a single package. So
its word is held against the pins, and before anything else the service must name the holes of an old package that is
known to have some. `audit-ignored.toml` holds the findings we live with for now, each with a reason and a last day.

    .ci/audit.py requirements.txt …              as `make audit`
    .ci/audit.py --report report.json …          judge what pip-audit has said before
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

IGNORED = Path(__file__).with_name("audit-ignored.toml")
# Five advisories of 2019 to 2024 name this version; a service that knows none of them knows nothing.
KNOWN_TO_BE_BAD = "jinja2==2.10"
LONGEST = 90  # days for which a finding may be lived with before somebody looks again


def pinned(files: list[Path]) -> dict[str, str]:
    """Name and version of each package that these lists bring to a machine like this one."""
    lines = [line.split(" \\")[0].strip() for file in files for line in file.read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if line and not line.startswith(("#", "-", "--hash"))]
    here = [pin for pin in wanted if pin.marker is None or pin.marker.evaluate()]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in here}


def faults(report: dict[str, Any], pins: dict[str, str], ignored: list[dict[str, Any]], today: date) -> list[str]:
    """What keeps us from saying that all is well, a sentence each."""
    told = {canonicalize_name(package["name"]): package for package in report["dependencies"]}
    audited = {
        name for name, package in told.items() if "vulns" in package and package.get("version") == pins.get(name)
    }
    skipped = sorted(pins.keys() - audited)
    found = []
    if skipped:
        found.append(f"{len(skipped)} of {len(pins)} packages were skipped instead of audited: {_some(skipped)}.")
    lived_with = {(canonicalize_name(entry["package"]), entry["id"]): entry for entry in ignored}
    for name, package in sorted(told.items()):
        for hole in package.get("vulns", []):
            entry = next((lived_with[name, id_] for id_ in _names(hole) if (name, id_) in lived_with), None)
            if entry is None or entry["until"] < today:
                found.append(_sentence(package, hole, entry))
    return found + [sentence for entry in ignored for sentence in _odd(entry, told, today)]


def _names(hole: dict[str, Any]) -> list[str]:
    return [hole["id"], *hole.get("aliases", [])]


def _sentence(package: dict[str, Any], hole: dict[str, Any], entry: dict[str, Any] | None) -> str:
    fixed = f"fixed in {', '.join(hole['fix_versions'])}" if hole["fix_versions"] else "not fixed yet"
    since = f"; it was to be lived with until {entry['until']}" if entry else ""
    return f"{package['name']} {package['version']} has {' = '.join(_names(hole))}, {fixed}{since}."


def _odd(entry: dict[str, Any], told: dict[str, Any], today: date) -> list[str]:
    name = canonicalize_name(entry["package"])
    if not str(entry.get("reason", "")).strip():
        return [f"{IGNORED.name} gives no reason for {entry['id']}."]
    if (entry["until"] - today).days > LONGEST:
        return [f"{IGNORED.name} forgets {entry['id']} until {entry['until']}; {LONGEST} days is the most."]
    if not any(entry["id"] in _names(hole) for hole in told.get(name, {}).get("vulns", [])):
        return [f"{IGNORED.name} names {entry['id']} of {name}, which is not found any more; take it out."]
    return []


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def ask(files: list[Path]) -> dict[str, Any]:
    """What pip-audit says of these lists. Exits where it says nothing."""
    lists = [word for file in files for word in ("-r", str(file))]
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner=off", "-f", "json"]
    done = subprocess.run([*command, *lists], capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise SystemExit(f"pip-audit could not ask its service: {last[0]}") from None
    return report


def knows_the_bad_one() -> bool:
    """Whether the service, asked about a package that is full of holes, names one."""
    with tempfile.TemporaryDirectory() as folder:
        control = Path(folder) / "control.txt"
        control.write_text(KNOWN_TO_BE_BAD + "\n")
        return any(package.get("vulns") for package in ask([control])["dependencies"])


def main() -> int:
    parser = argparse.ArgumentParser(description="Audit pinned packages, and fail where one was skipped.")
    parser.add_argument("lists", nargs="+", type=Path, metavar="requirements.txt")
    parser.add_argument("--report", type=Path, help="what pip-audit has said, as JSON, instead of asking it")
    parser.add_argument("--ignored", type=Path, default=IGNORED)
    parser.add_argument("--today", type=date.fromisoformat, default=datetime.now(UTC).date())
    asked = parser.parse_args()
    pins = pinned(asked.lists)
    ignored = tomllib.loads(asked.ignored.read_text()).get("finding", [])
    report = json.loads(asked.report.read_text()) if asked.report else ask(asked.lists)
    found = faults(report, pins, ignored, asked.today)
    if not asked.report and not knows_the_bad_one():
        found.append(f"The service names no hole of {KNOWN_TO_BE_BAD}, which has several: it knows no advisories.")
    sys.stdout.write("\n".join(found or [f"{len(pins)} packages audited, none has a known vulnerability."]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
