"""`make audit` says that all is well only when every package was looked up by a service that knows of holes.

pip-audit is the real one. What it said of a service without advisories is in tests/data/audit/skipped.json; otherwise
it asks a service on the loopback that speaks as OSV does.
"""

import http.server
import json
import os
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data/audit"
OLD = {"jinja2": "2.10"}
HOLE = {
    "id": "PYSEC-2019-217",
    "aliases": ["CVE-2019-10906"],
    "summary": "A sandbox that lets out.",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}],
        }
    ],
}


class Advisories(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_known = self.server.known.get(asked["package"]["name"]) == asked["version"]
        answer = json.dumps({"vulns": [HOLE]} if is_known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_words):
        pass


@pytest.fixture
def service():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        server.known = OLD
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def audit(service, tmp_path):
    """Run `.ci/audit.py`; return its exit code and what it says."""

    def run(*words, ignored="", pins="", service_url=f"http://127.0.0.1:{service.server_address[1]}/"):
        (tmp_path / "ignored.toml").write_text(ignored)
        (tmp_path / "pins.txt").write_text(pins)
        lists = [tmp_path / "pins.txt"] if pins else [DATA / "pins.txt"]
        done = subprocess.run(
            [sys.executable, ".ci/audit.py", *lists, "--ignored", tmp_path / "ignored.toml", *words],
            cwd=ROOT,
            env=os.environ | {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": service_url},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


GOOD = "idna==3.10 \\\n    --hash=sha256:" + "0" * 64 + "\n"


def test_all_audited_and_nothing_found_is_well(audit):
    assert audit(pins=GOOD) == (0, "1 packages audited, none has a known vulnerability.\n")


def test_a_known_hole_fails_and_names_the_way_out(audit):
    code, said = audit()
    assert code == 1
    assert said == "jinja2 2.10 has PYSEC-2019-217 = CVE-2019-10906, fixed in 2.10.1.\n"


def test_a_service_that_knows_no_advisories_is_no_audit(audit, service):
    """The control: pip-audit itself is content, and finds nothing."""
    service.known = {}
    code, said = audit(pins=GOOD)
    assert code == 1
    assert "The service names no hole of jinja2==2.10, which has several" in said


def test_packages_that_were_skipped_fail_the_audit():
    """pip-audit exited with 0 when it wrote this report."""
    report = json.loads((DATA / "skipped.json").read_text())
    assert all("skip_reason" in package for package in report["dependencies"])
    assert judge(report) == (1, "3 of 3 packages were skipped instead of audited: idna, jinja2, markdown-it-py.\n")


def test_one_that_was_skipped_is_enough():
    report = {
        "dependencies": [
            looked_up("jinja2", "2.10"),
            looked_up("idna", "3.10"),
            {"name": "markdown-it-py", "skip_reason": "why"},
        ]
    }
    assert judge(report) == (1, "1 of 3 packages were skipped instead of audited: markdown-it-py.\n")


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([], id="left out"),
        pytest.param([{"name": "markdown-it-py", "version": "4.2.0", "vulns": []}], id="of another version"),
    ],
)
def test_one_that_was_not_told_of_counts_as_skipped(told):
    report = {"dependencies": [looked_up("jinja2", "2.10"), looked_up("idna", "3.10"), *told]}
    assert judge(report) == (1, "1 of 3 packages were skipped instead of audited: markdown-it-py.\n")


def test_a_service_that_does_not_answer_is_no_audit(audit):
    code, said = audit(pins=GOOD, service_url="http://127.0.0.1:9/")
    assert code == 1
    assert "pip-audit could not ask its service" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["PYSEC-2019-217", "CVE-2019-10906"])
@pytest.mark.parametrize(("today", "code"), [("2026-11-30", 0), ("2026-12-01", 1)])
def test_a_finding_is_lived_with_until_its_day(name, today, code):
    ignored = finding(id=name, reason="We do not use its sandbox.", until=date(2026, 11, 30))
    given, said = judge(with_hole(), ignored=ignored, today=today)
    assert given == code, said
    assert ("it was to be lived with until 2026-11-30" in said) is bool(code)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"reason": ""}, "gives no reason for PYSEC-2019-217"),
        ({"until": date(2027, 11, 24)}, "90 days is the most"),
        ({"id": "PYSEC-2020-1"}, "names PYSEC-2020-1 of jinja2, which is not found any more"),
    ],
)
def test_a_finding_is_lived_with_for_a_reason_and_not_for_ever(entry, told):
    facts = {"id": "PYSEC-2019-217", "reason": "We do not use its sandbox.", "until": date(2026, 11, 30)} | entry
    code, said = judge(with_hole(), ignored=finding(**facts), today="2026-11-24")
    assert code == 1
    assert told in said


def test_what_we_ourselves_live_with_can_be_read():
    code, said = judge({"dependencies": []}, ignored=(ROOT / ".ci/audit-ignored.toml").read_text())
    assert (code, said) == (1, "3 of 3 packages were skipped instead of audited: idna, jinja2, markdown-it-py.\n")


def looked_up(name, version, *holes):
    return {"name": name, "version": version, "vulns": list(holes)}


def with_hole():
    hole = {"id": HOLE["id"], "aliases": HOLE["aliases"], "fix_versions": ["2.10.1"], "description": ""}
    return {
        "dependencies": [
            looked_up("jinja2", "2.10", hole),
            looked_up("idna", "3.10"),
            looked_up("markdown-it-py", "4.3.0"),
        ]
    }


def finding(**facts):
    lines = [f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in facts.items()]
    return "\n".join(["[[finding]]", 'package = "Jinja2"', *lines])


def judge(report, *, ignored="", today="2026-11-24"):
    """What `.ci/audit.py` makes of a report on the three packages of pins.txt."""
    with TemporaryDirectory() as place:
        (Path(place) / "report.json").write_text(json.dumps(report))
        (Path(place) / "ignored.toml").write_text(ignored)
        words = ["--report", f"{place}/report.json", "--ignored", f"{place}/ignored.toml", "--today", today]
        done = subprocess.run(
            [sys.executable, ".ci/audit.py", DATA / "pins.txt", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    return done.returncode, done.stdout + done.stderr
