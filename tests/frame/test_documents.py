"""What the documents say is so."""

import importlib.util
import itertools
import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(
    r"""(?:\benv\.\w+\(|\benviron(?:\.get\(|\[))\s*["']([A-Z][A-Z0-9_]*)["']"""
)
ASSIGNED = re.compile(r"^([A-Z][A-Z0-9_]*)=", re.MULTILINE)
CITED = re.compile(r"\bB([1-9][0-9]?)\b")


def ours(*endings):
    """The project's own files, also those not yet committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    names = [name for name in listed if name.endswith(endings) and not name.startswith("static/vendor/")]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def pieces_of_code(path):
    return re.findall(r"```.*?```|`[^`\n]+`", path.read_text(), re.DOTALL)


def test_every_variable_the_settings_read_is_in_the_example_and_no_other():
    read = set(READ.findall((ROOT / "aegir_support/settings.py").read_text()))
    assert set(ASSIGNED.findall((ROOT / ".env.example").read_text())) == read


def test_every_variable_in_the_example_has_one_line_of_meaning():
    lines = (ROOT / ".env.example").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if ASSIGNED.match(line):
            assert re.match(r"# \S.{2,118}$", above), line


def test_every_sentence_of_the_founding_thread_that_is_cited_exists():
    thread = (ROOT / "docs/founding-thread.md").read_text()
    known = set(re.findall(r"^\| B(\d+) \|", thread, re.MULTILINE))
    unknown = {
        f"{path.relative_to(ROOT)}: B{number}"
        for path in ours(".py", ".md", ".html")
        for number in CITED.findall(path.read_text())
        if number not in known
    }
    assert known
    assert not unknown


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_that_is_named_exists(name):
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for piece in pieces_of_code(ROOT / name) for target in re.findall(r"\bmake ([a-z][a-z-]*)", piece)}
    assert named
    assert named <= targets


def test_every_command_of_manage_that_is_named_exists():
    named = {
        (path.name, command)
        for path in ours(".md")
        for piece in pieces_of_code(path)
        for command in re.findall(r"\bmanage\.py ([a-z][a-z_]*)", piece)
    }
    assert ("operations.md", "migrate") in named
    assert {command for _path, command in named} <= set(get_commands())


def test_every_program_that_operations_start_is_installed():
    programs = {
        program
        for piece in pieces_of_code(ROOT / "docs/operations.md")
        for program in re.findall(r"\.venv/bin/(\w+)", piece)
    }
    assert programs == {"pip", "python", "granian", "celery"}
    for program in programs:
        assert importlib.util.find_spec(program) or program == "python"


def test_every_variable_that_the_documents_name_is_read():
    read = set(READ.findall((ROOT / "aegir_support/settings.py").read_text()))
    known = re.compile("^(DATABASE|EMAIL|SECURE|TRUSTED|SECRET|SITE|SOURCE|LOCAL)_[A-Z_]+")
    for piece in pieces_of_code(ROOT / "docs/operations.md"):
        if named := known.match(piece.strip("`")):
            assert named[0] in read


def test_every_target_of_the_makefile_is_explained_by_make_itself():
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert set(targets) == set(re.findall(r"^  make ([a-z-]+) ", listed, re.MULTILINE))
