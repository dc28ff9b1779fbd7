"""What the documents say is so."""

import importlib.util
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from aegir_support.addresses import django_database

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(r"""(?:\benv\.\w+\(|\benviron(?:\.get\(|\[))\s*["']([A-Z][A-Z0-9_]*)["']""")
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


def variables():
    """All that the settings read, and what the compose file asks for."""
    asked = re.findall(r"\$\{([A-Z][A-Z0-9_]*)", (ROOT / "docker-compose.yml").read_text())
    return set(READ.findall((ROOT / "aegir_support/settings.py").read_text())) | set(asked)


def test_every_variable_the_settings_read_is_in_the_example_and_no_other():
    assert set(ASSIGNED.findall((ROOT / ".env.example").read_text())) == variables()


def test_the_example_can_be_read_by_a_shell():
    """As docs/operations.md has it, and as systemd and compose do."""
    words = "set -eua; . ./.env.example; printf '%s' \"$PROJECT_NAME\""
    done = subprocess.run(["sh", "-c", words], cwd=ROOT, env={}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Ægir Support", "")


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


def operations():
    """The lines of commands in docs/operations.md, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line]


def test_every_variable_that_operations_name_is_read():
    named = {
        name
        for piece in pieces_of_code(ROOT / "docs/operations.md")
        for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b", piece)
    }
    assert {"SECRET_KEY", "DATABASE_URL", "POSTGRES_PASSWORD"} <= named
    assert named <= variables()


def options(words):
    return {word.split("=")[0] for word in words if word.startswith("--")}


def test_every_option_of_granian_and_celery_in_operations_exists():
    assert sum(len(options(words)) for words in operations() if words[0].endswith(("granian", "celery"))) >= 8
    for program, *words in operations():
        name = Path(program).name
        if name in {"granian", "celery"}:
            command = [sys.executable, "-m", name, *([words[2]] if name == "celery" else []), "--help"]
            help_of = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert {option for option in options(words) if option not in help_of} == set(), program


def test_every_option_and_argument_of_manage_in_operations_is_understood():
    seen = set()
    for words in operations():
        if "manage.py" in words:
            name, *arguments = words[words.index("manage.py") + 1 :]
            parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
            parser.parse_args(arguments)
            seen.add(name)
    assert {"migrate", "backup", "restore", "restore_drill", "load_catalogue", "createsuperuser"} <= seen


def test_every_command_of_compose_in_operations_names_services_of_ours():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    lines = [words[2:] for words in operations() if words[:2] == ["docker", "compose"]]
    pieces = [piece.strip("`") for piece in pieces_of_code(ROOT / "docs/operations.md")]
    lines += [shlex.split(piece)[2:] for piece in pieces if piece.startswith("docker compose ") and "\n" not in piece]
    assert len(lines) > 10
    for command, *words in lines:
        known = COMPOSE_OPTIONS[command]
        assert options(words) <= known or command == "exec", words
        plain = [word for before, word in itertools.pairwise(["", *words]) if not _is_option(word, before)]
        named = plain[:1] if command in {"run", "exec"} else plain
        assert set(named) <= set(services), words
        assert plain[1:2] in [[], ["python"], ["psql"]] or command not in {"run", "exec"}, words


# Of docker compose 2; the engine itself is not here.
COMPOSE_OPTIONS = {
    "build": {"--pull"},
    "exec": set(),
    "logs": {"--follow"},
    "run": {"--rm", "--no-deps", "--volume", "--env"},
    "stop": set(),
    "up": {"--build", "--detach"},
}


def _is_option(word, before):
    return word.startswith("--") or before in {"--volume", "--env"}


def test_web_runs_the_same_way_with_and_without_containers():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, program in [("web", "granian"), ("worker", "celery"), ("beat", "celery")]:
        contained = compose[name]["command"].replace("--host 0.0.0.0", "--host 127.0.0.1").split()
        assert [f".venv/bin/{program}", *contained[1:]] in operations()


def test_every_address_of_a_database_in_operations_is_understood():
    named = re.findall(r"`(postgresql://\S+)`", (ROOT / "docs/operations.md").read_text())
    assert named
    for address in named:
        entry = django_database(address, pool_size=0, session={})
        assert entry["HOST"] == "db1,db2,db3"
        assert entry["OPTIONS"]["target_session_attrs"] == "read-write"


def test_every_migration_and_file_that_operations_name_exists():
    words = (ROOT / "docs/operations.md").read_text()
    migrations = re.findall(r"migrate ([a-z]+) (\d{4}_\w+)", words)
    assert migrations
    for app, name in migrations:
        assert (ROOT / app / "migrations" / f"{name}.py").exists()
    for path in re.findall(r"`([a-z_./-]+\.(?:yml|sql|txt|example))`", words):
        assert (ROOT / path).exists(), path


def test_every_target_of_the_makefile_is_explained_by_make_itself():
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert set(targets) == set(re.findall(r"^  make ([a-z-]+) ", listed, re.MULTILINE))
