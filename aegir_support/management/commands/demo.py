"""`make demo`: everything on this machine, from nothing to a page one can sign in to."""

import contextlib
import errno
import fcntl
import http.client
import importlib
import io
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.backends.postgresql.base import DatabaseWrapper

from aegir_support import embedded, env
from aegir_support.processes import Child, NotReady, Supervisor

HOST = "127.0.0.1"
MEGABYTE = 1_000_000
# A new database with the demo week takes 100 MB, and PostgreSQL keeps up to 1 GB of its log under load.
DISK_NEEDED = 500 * MEGABYTE
DISK_FULL = 20 * MEGABYTE
LOOK_EVERY_SECONDS = 0.2
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey, web, worker and beat with the demo week, until Ctrl-C. Use it as `make demo`."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This command is for the demo only. Run it as `make demo`.")
        self.local_dir: Path = settings.LOCAL_DIR
        self.port = env.number("PORT", 8000)
        self.disk_is_full = False
        self.supervisor = Supervisor(self.say, self.reason)
        try:
            with self.folder_lock():
                self.run_until_interrupted()
        except (NotReady, OSError, DatabaseError, psycopg.Error, redis.RedisError) as error:
            raise CommandError(f"{error} {self.reason()}".strip()) from error

    def run_until_interrupted(self) -> None:
        for ending in ENDINGS:
            signal.signal(ending, signal.default_int_handler)
        try:
            self.check_disk()
            self.check_port()
            self.forget_old_logs()
            self.start_servers()
            self.load()
            self.start_programs()
            self.introduce()
            while True:
                time.sleep(LOOK_EVERY_SECONDS)
                self.supervisor.look()
                self.warn_of_a_full_disk()
        except KeyboardInterrupt:
            self.say("\nStopping…")
        finally:
            # Everything ends within seconds from here; a second Ctrl-C must not leave half of it behind.
            for ending in ENDINGS:
                signal.signal(ending, signal.SIG_IGN)
            self.supervisor.stop()
        self.say("Stopped. `make demo` continues with the same data.")

    @contextlib.contextmanager
    def folder_lock(self) -> Iterator[None]:
        self.local_dir.mkdir(parents=True, exist_ok=True)
        with (self.local_dir / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(
                    f"A demo of this checkout is running already (it uses {self.local_dir}). Stop it first, "
                    "or run a second one from another checkout."
                ) from None
            yield

    def check_disk(self) -> None:
        free = shutil.disk_usage(self.local_dir).free
        if free < DISK_NEEDED:
            raise CommandError(
                f"The disk of {self.local_dir} has {free // MEGABYTE} MB left, and the demo needs "
                f"{DISK_NEEDED // MEGABYTE} MB. Free some space and try again."
            )

    def warn_of_a_full_disk(self) -> None:
        reason = self.reason()
        if reason and not self.disk_is_full:
            self.say(reason)
        self.disk_is_full = bool(reason)

    def check_port(self) -> None:
        with socket.socket() as probe:
            # Without this a port would count as used for a minute after the last demo.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except (OSError, OverflowError) as error:
                sentence = f"Port {self.port} is in use"
                if not isinstance(error, OSError) or error.errno != errno.EADDRINUSE:
                    sentence = f"Port {self.port} cannot be used ({error})"
                other = self.port + 1 if 1024 <= self.port < 65535 else 8001
                raise CommandError(f"{sentence}; try: make demo PORT={other}") from None

    def forget_old_logs(self) -> None:
        for log in (self.local_dir / "logs").glob("*.log"):
            log.unlink()

    def start_servers(self) -> None:
        if embedded.database_url(self.local_dir) == settings.DATABASE_URL:
            self.start_server(embedded.Postgres(self.local_dir))
        else:
            with self.step("Reaching the PostgreSQL of DATABASE_URL"):
                psycopg.connect(settings.DATABASE_URL, connect_timeout=5).close()
        if embedded.redis_url(self.local_dir) == settings.REDIS_URL:
            self.start_server(embedded.Valkey(self.local_dir))
        else:
            with self.step("Reaching the Valkey of REDIS_URL"):
                redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5).ping()

    def start_server(self, server: embedded.Postgres | embedded.Valkey) -> None:
        with self.step(f"Starting {server.name}"):
            self.supervisor.start(server.child)
            server.wait_until_ready()

    def load(self) -> None:
        with self.step("Bringing the database up to date"):
            call_command("migrate", verbosity=0, interactive=False)
        if "seed_demo" in get_commands():
            with self.step("Loading the demo week"):
                call_command("seed_demo", stdout=io.StringIO())
        # What follows only starts and watches programs, and needs neither a connection nor the pool's threads.
        connection = connections[DEFAULT_DB_ALIAS]
        connection.close()
        if isinstance(connection, DatabaseWrapper):
            connection.close_pool()

    def start_programs(self) -> None:
        granian = ["granian", "--interface", "wsgi", "aegir_support.wsgi:application", "--no-ws"]
        serving = ["--host", HOST, "--port", str(self.port), "--workers", "2", "--blocking-threads", "4"]
        celery = ["celery", "-A", "aegir_support"]
        web = self.program("Web", [*granian, *serving, "--respawn-failed-workers", "--workers-kill-timeout", "5"])
        worker = self.program("Worker", [*celery, "worker", "--concurrency", "2", "-n", f"demo-{self.port}@%h"])
        beat = self.program("Beat", [*celery, "beat"])
        # One after the other: the first page is there sooner than if all five processes shared two cores.
        with self.step("Starting the web server"):
            self.supervisor.start(web)
            web.wait_until(self.is_healthy)
        with self.step("Starting worker and beat"):
            self.supervisor.start(worker, beat)

    def program(self, name: str, words: list[str]) -> Child:
        """A module of ours or of a package, run with this Python."""
        log = self.local_dir / "logs" / f"{name.lower()}.log"
        return Child(name, [sys.executable, "-m", *words], log=log, working_dir=settings.BASE_DIR, patience=6)

    def is_healthy(self) -> bool:
        asking = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            asking.request("GET", "/-/health")
            return asking.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asking.close()

    def introduce(self) -> None:
        """Say where it is and who can sign in."""
        lines = ["", f"  {settings.PROJECT_NAME} runs at {self.style.MIGRATE_HEADING(settings.SITE_URL)}", ""]
        with contextlib.suppress(ModuleNotFoundError):
            demo = importlib.import_module("aegir_support.demo")  # it imports the apps, and only the demo does
            lines.append(f"  Sign in with the password {self.style.MIGRATE_HEADING(demo.PASSWORD)} as")
            width = max(len(email) for email, _ in demo.LOGINS)
            lines += [f"    {email:{width}}  {who}" for email, who in demo.LOGINS] + [""]
        lines += [
            f"  What it sends as mail: {settings.SITE_URL}/demo/mail/",
            f"  What the programs say: {self.local_dir / 'logs'}",
            "  Ctrl-C stops everything; `make demo` continues with the same data.",
            "",
        ]
        self.say("\n".join(lines))

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show what is being done, and when it is done how long it took."""
        started = time.monotonic()
        self.stdout.write(f"{what}… ", ending="")
        self.stdout.flush()
        try:
            yield
        except BaseException:
            self.say("")
            raise
        self.say(f"{time.monotonic() - started:.1f} s")

    def say(self, sentence: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody reads any more, and there is still all to be stopped
            self.stdout.write(sentence)
            self.stdout.flush()

    def reason(self) -> str:
        """Why the servers may be failing, where that can be seen from here."""
        if shutil.disk_usage(self.local_dir).free < DISK_FULL:
            return f"The disk of {self.local_dir} is full. Free some space, and everything goes on by itself."
        return ""
