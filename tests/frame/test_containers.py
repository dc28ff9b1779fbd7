"""The image and the compose file, as far as they can be tried without an engine.

The files that the image would hold are laid out in a folder of their own, and the commands of the compose file run
there, with production's settings, on a PostgreSQL and a Valkey of their own.
"""

import http.client
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from jsonschema import Draft202012Validator

from aegir_support import embedded
from aegir_support.processes import Child
from tests.faults.mail_sink import mail_sink
from tests.faults.programs import wait_for

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "aegir-support"}
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
SECRET = re.compile("SECRET|PASSWORD|TOKEN|KEY|DSN|DATABASE_URL")
INTERPOLATED = re.compile(r"\$\{([A-Z_]+)(?::\?[^}]*)?\}")


def instructions(word):
    """What follows this word in the Dockerfile, once for each time it stands there."""
    return [line.split(maxsplit=1)[1].strip() for line in DOCKERFILE.splitlines() if line.startswith(f"{word} ")]


def example():
    """The variables of .env.example and their values."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.replace('"', "").split("=", 1) for line in lines if re.match("[A-Z]", line))


# The files


def test_the_compose_file_keeps_to_its_specification():
    schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
    Draft202012Validator.check_schema(schema)
    judge = Draft202012Validator(schema)
    assert [error.message for error in judge.iter_errors(COMPOSE)] == []
    misspelled = COMPOSE | {"services": {"web": {"image": "x", "comand": "y"}}}
    assert [error.message for error in judge.iter_errors(misspelled)], "the control"


def test_images_are_pinned_to_a_major():
    images = [service["image"] for service in SERVICES.values() if service not in OURS.values()]
    assert len(images) == 2
    for image in [*images, *instructions("FROM")]:
        assert re.search(r":[0-9]+(\.[0-9]+)?(-slim)?$", image), image


def test_every_program_waits_for_what_it_needs_and_comes_back():
    assert set(OURS) == {"migrate", "web", "worker", "beat"}
    assert OURS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert OURS["migrate"]["restart"] == "no"
    for name in ["web", "worker", "beat"]:
        waits = OURS[name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}
        assert waits["valkey"] == {"condition": "service_healthy"}
        assert OURS[name]["restart"] == "unless-stopped"
    for name in ["postgres", "valkey", "web", "worker"]:
        assert SERVICES[name]["healthcheck"]["test"], name


def test_there_is_one_beat():
    assert not {"scale", "deploy"} & OURS["beat"].keys()
    assert [name for name, service in OURS.items() if " beat" in service["command"]] == ["beat"]


def test_nothing_of_ours_may_do_more_than_it_must():
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert instructions("USER") == ["support"]
    assert "--uid 10001" in DOCKERFILE
    assert SERVICES["web"]["ports"] == ["127.0.0.1:8000:8000"], "only the proxy of this host gets there"
    assert not any("ports" in service for name, service in SERVICES.items() if name != "web")


def test_web_has_time_to_finish_what_it_has_begun():
    granted = int(SERVICES["web"]["stop_grace_period"].removesuffix("s"))
    needed = int(re.search(r"--workers-kill-timeout (\d+)", SERVICES["web"]["command"])[1])
    assert granted > needed


def test_every_volume_is_declared_and_the_folder_of_files_belongs_to_the_image_s_user():
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == set(COMPOSE["volumes"])
    folder = OURS["web"]["environment"]["FILES_DIR"]
    assert f"files:{folder}" in OURS["web"]["volumes"]
    assert f"-o support -g support -m 700 {folder}" in DOCKERFILE
    assert instructions("VOLUME") == [folder]


# Variables and secrets


def test_every_variable_is_in_the_example_and_no_secret_has_a_value():
    named = {}
    for service in SERVICES.values():
        assert service.get("env_file", ".env") == ".env"
        named |= service.get("environment", {})
    ours = {name for service in OURS.values() for name in service["environment"]}
    assert ours | set(INTERPOLATED.findall((ROOT / "docker-compose.yml").read_text())) <= set(example())
    secrets = {name: value for name, value in named.items() if SECRET.search(name)}
    assert set(secrets) == {"DATABASE_URL", "POSTGRES_PASSWORD"}
    assert all("${POSTGRES_PASSWORD:?" in value for value in secrets.values())
    assert [value for name, value in example().items() if SECRET.search(name) and value] == []


def test_the_image_is_built_without_a_secret():
    assert instructions("ARG") == []
    assert not SECRET.search(" ".join(instructions("ENV")))
    given = dict(re.findall(r"\b([A-Z_]+)=(\"\$\([^)]*\)[^\"]*\"|\S+)", " ".join(instructions("RUN"))))
    assert given["SECRET_KEY"].startswith('"$('), "made anew, and forgotten"
    assert "@" not in given["DATABASE_URL"]
    assert set(given) <= set(example())


# What gets into the image


def is_let_through(path):
    """Whether .dockerignore lets this path into the image; the last line that speaks of it, or of a folder above it."""
    let = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.lstrip("!").lstrip("/")
            words = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if re.match(rf"{words}(/|$)", path):
                let = line.startswith("!")
    return let


def in_the_image():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for path in listed.stdout.split("\0") if path and is_let_through(path) and (ROOT / path).is_file()]


def test_the_image_holds_what_the_site_is_made_of_and_nothing_else():
    apps = {name for name in settings.INSTALLED_APPS if (ROOT / name).is_dir()}
    folders = {Path(path).parts[0] for path in in_the_image()}
    assert folders == apps | {"static", "templates", "data", "manage.py", "requirements.txt", "LICENSE"}
    for path in [".env", ".git/config", ".local/test/lock", "tests/conftest.py", "docs/x", "billing/__pycache__/x.pyc"]:
        assert not is_let_through(path), path


def test_every_path_that_is_copied_exists():
    copied = [source for words in instructions("COPY") for source in words.split()[:-1]]
    assert copied == ["requirements.txt", "."]
    for path in copied:
        assert (ROOT / path).exists()
    assert is_let_through("requirements.txt")
    assert instructions("RUN")[1] == "pip install --require-hashes -r requirements.txt"


# The commands, run as the containers would


class Image:
    """A folder with what the image holds, and the variables its containers get."""

    def __init__(self, folder, postgres, valkey, sink):
        self.folder, self.files = folder / "image", folder / "files"
        for path in in_the_image():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, self.folder / path)
        self.log = folder / "logs"
        self.port = _free_port()
        # What an operator writes into .env; the rest stays as the example has it.
        self.env = example() | {
            "SECRET_KEY": "k" * 60,
            "SITE_URL": "https://support.example",
            "ALLOWED_HOSTS": "support.example",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(sink.port),
            "EMAIL_USE_TLS": "no",
            "DEFAULT_FROM_EMAIL": "Ægir Support <support@aegir.example>",
            "TRUSTED_PROXY_COUNT": "1",
            "POSTGRES_PASSWORD": "invented",
        }
        # The names of the other containers mean nothing here.
        self.elsewhere = {"DATABASE_URL": postgres.url, "REDIS_URL": valkey.url, "FILES_DIR": str(self.files)}

    def variables(self, service, **other):
        given = {name: INTERPOLATED.sub(lambda found: self.env[found[1]], value) for name, value in _own(service)}
        system = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOSTNAME": socket.gethostname()}
        return system | self.env | given | self.elsewhere | other

    def command(self, service):
        words = SERVICES[service]["command"].replace("--host 0.0.0.0", "--host 127.0.0.1")
        return shlex.split(words.replace("--port 8000", f"--port {self.port}"))

    def run(self, service, words=None, **other):
        """Let a command run to its end."""
        return subprocess.run(
            words or self.command(service),
            cwd=self.folder,
            env=self.variables(service, **other),
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, service, without=""):
        variables = [f"{name}={value}" for name, value in self.variables(service).items() if name != without]
        command = ["/usr/bin/env", "-i", *variables, *self.command(service)]
        child = Child(service, command, log=self.log / f"{service}{without}.log", working_dir=self.folder, patience=12)
        child.start()
        return child

    def is_well(self, service):
        """Whether its health check says so."""
        kind, *words = SERVICES[service]["healthcheck"]["test"]
        words = [word.replace("$$", "$").replace(":8000/", f":{self.port}/") for word in words]
        return self.run(service, ["sh", "-c", *words] if kind == "CMD-SHELL" else words).returncode == 0

    def ask(self, method, address, body=None, **headers):
        """As the proxy passes it on."""
        proxied = {"Host": "support.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, address, body, proxied | headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode(errors="replace")
        finally:
            connection.close()


def _own(service):
    return SERVICES[service]["environment"].items()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image after `docker build`, and its database after `migrate`."""
    folder = tmp_path_factory.mktemp("containers")
    servers = embedded.Postgres(folder, settings=["fsync=off"]), embedded.Valkey(folder)
    with servers[0] as postgres, servers[1] as valkey, mail_sink() as sink:
        image = Image(folder, postgres, valkey, sink)
        image.sink = sink
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        build = subprocess.run(
            ["sh", "-euc", instructions("RUN")[-1]],
            cwd=image.folder,
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert build.returncode == 0, build.stderr
        migrated = image.run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        yield image


@pytest.fixture(scope="module")
def web(image):
    web = image.start("web")
    web.wait_until(lambda: image.is_well("web"), within=60)
    yield image
    web.stop()


@pytest.mark.processes
def test_web_runs_by_itself_and_answers_through_a_proxy(web):
    status, _headers, words = web.ask("GET", "/-/ready")
    assert (status, json.loads(words)) == (200, {"database": "ok", "broker": "ok", "migrations": "ok"})
    status, _headers, page = web.ask("GET", "/accounts/login/")
    assert status == 200
    [sheet] = re.findall(r'href="(/static/css/site\.[0-9a-f]{12}\.css)"', page)
    status, headers, _words = web.ask("GET", sheet)
    assert status == 200
    assert "immutable" in headers["Cache-Control"]
    status, headers, _words = web.ask("GET", "/accounts/login/", **{"X-Forwarded-Proto": "http"})
    assert (status, headers["Location"]) == (301, "https://support.example/accounts/login/")


@pytest.mark.processes
def test_the_first_admin_gets_the_mail_that_worker_and_beat_send(web):
    who = {"DJANGO_SUPERUSER_EMAIL": "first@aegir.example", "DJANGO_SUPERUSER_PASSWORD": "a long invented one"}
    words = ["python", "manage.py", "createsuperuser", "--noinput"]
    made = web.run("web", words, DJANGO_SUPERUSER_NAME="First", **who)
    assert made.returncode == 0, made.stderr
    assert _log_in(web, who["DJANGO_SUPERUSER_EMAIL"], who["DJANGO_SUPERUSER_PASSWORD"]) == 302
    assert web.sink.taken == [], "nobody sends it yet"
    programs = [web.start("worker"), web.start("beat")]
    try:
        assert wait_for(lambda: web.sink.taken, seconds=60), [program.tail() for program in programs]
        assert web.sink.taken[0]["To"] == "first@aegir.example"
        assert "https://support.example/accounts/" in web.sink.taken[0].get_body(["plain"]).get_content()
        assert web.is_well("worker")
    finally:
        for program in programs:
            program.stop()
    assert not web.is_well("worker"), "the control"


@pytest.mark.processes
@pytest.mark.long
def test_a_drill_passes_with_the_settings_of_production(web):
    """Whoever logs in there comes over https, through a proxy; somebody must have confirmed an address."""
    someone = (
        "from allauth.account.models import EmailAddress; from members.models import User; "
        "gita = User.objects.create_user('gita@riverbank.example', 'a long invented one'); "
        "EmailAddress.objects.create(user=gita, email=gita.email, verified=True, primary=True)"
    )
    made = web.run("web", ["python", "manage.py", "shell", "-c", someone])
    assert made.returncode == 0, made.stderr
    drill = web.run("web", ["python", "manage.py", "restore_drill"])
    assert drill.returncode == 0, drill.stderr
    assert "One person has logged in." in drill.stdout
    assert "The drill has passed." in drill.stdout


def _log_in(web, email, password):
    _status, headers, page = web.ask("GET", "/accounts/login/")
    cookie = re.search(r"csrftoken=[^;]+", ";".join(headers.get_all("Set-Cookie")))[0]
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    form = f"login={email}&password={password.replace(' ', '+')}&csrfmiddlewaretoken={token}"
    form_type = {"Content-Type": "application/x-www-form-urlencoded", "Referer": "https://support.example/"}
    status, _headers, _page = web.ask("POST", "/accounts/login/", form, Cookie=cookie, **form_type)
    return status


@pytest.mark.processes
@pytest.mark.parametrize(
    ("service", "name"),
    [("web", "SECRET_KEY"), ("web", "FILES_DIR"), ("worker", "REDIS_URL"), ("beat", "DATABASE_URL")],
)
def test_a_program_without_what_it_must_be_told_does_not_start_and_names_it(image, service, name):
    program = image.start(service, without=name)
    try:
        assert wait_for(lambda: f"Set {name}; .env.example says what it means" in program.log.read_text(), seconds=40)
        # A web server begins again and again, and answers nobody meanwhile.
        assert service == "web" or wait_for(lambda: not program.is_running, seconds=20)
    finally:
        program.kill()


@pytest.mark.processes
def test_the_programs_write_nothing_beside_their_code(web):
    """The containers are read-only. What Python keeps for a faster start is no loss where it cannot be kept."""
    made = {path for path in web.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    there = {web.folder / path for path in in_the_image()}
    assert {path.relative_to(web.folder).parts[0] for path in made - there} == {"staticfiles"}


def test_postgres_is_made_with_words_that_it_knows(tmp_path):
    words = SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    assert not _is_odd(words, tmp_path)
    assert _is_odd([*words, "--locale-supplier=builtin"], tmp_path), "the control"


def _is_odd(words, folder):
    command = [embedded.postgres_program("initdb"), "--show", *words, "-D", folder / "data"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    return "unrecognized option" in made.stderr
