"""One archive of everything: the database, the private files, and a list of both by which a copy can be judged.

It is made beside the work. A snapshot of the database is held while it is dumped and counted; files are named by their
content and only ever added, so those that the snapshot knows are still there afterwards. SECRET_KEY is not inside.
"""

import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.storage import default_storage
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from . import pgtools
from .models import StoredFile

FORMAT = 1
MANIFEST, DUMP, FILES = "manifest.json", "database.dump", "files/"
BLOCK = 1 << 20
Say = Callable[[str], None]


class Failed(Exception):
    """It could not be done, or not whole; the message is for the person who asked."""


# A disk that is full, a database or a bucket that does not answer: nothing to be shown a traceback of.
TROUBLE = (OSError, psycopg.Error, BotoCoreError, ClientError)


def make(target: Path, say: Say) -> tuple[Path, dict[str, Any]]:
    """Write an archive to the file `target`, or into that folder under the present time. Returns it and its manifest.

    Nobody but its owner may read it, and its name appears when it is whole. Raises Failed; files that the database
    knows and the storage has not, or has otherwise, are named in the manifest under "lacking".
    """
    path = target / f"aegir-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar" if target.is_dir() else target
    if path.exists():
        raise Failed(f"{path} is there already; name another file.")
    try:
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as unfinished:
            manifest = _write(Path(unfinished), say)
            with (Path(unfinished) / "archive").open("rb") as whole:
                os.fsync(whole.fileno())  # a power cut after this leaves no empty file under its name
            (Path(unfinished) / "archive").rename(path)
    except TROUBLE as error:
        raise Failed(f"No copy was made: {error}") from error
    return path, manifest


def _write(folder: Path, say: Say) -> dict[str, Any]:
    started = time.monotonic()
    with pgtools.connect() as database, _snapshot(database) as snapshot:
        manifest = _about(database)
        dump(folder / DUMP, snapshot, manifest["server"])
        say(f"Database dumped: {size(folder / DUMP)} bytes, {_since(started)}.")
        manifest["tables"] = count(database)
        say(f"{len(manifest['tables'])} tables counted, {sum(t['rows'] for t in manifest['tables'].values())} rows.")
        wanted = stored_files(database)
    with tarfile.open(folder / "archive", "x") as archive:
        (folder / "archive").chmod(0o600)
        with (folder / DUMP).open("rb") as dumped:
            manifest["database"] = _add(archive, DUMP, dumped, size(folder / DUMP))
        manifest["files"], manifest["lacking"] = _add_files(archive, wanted)
        say(f"{len(manifest['files'])} files, {sum(f['bytes'] for f in manifest['files'].values())} bytes.")
        words = json.dumps(manifest, indent=1, sort_keys=True).encode()
        _add(archive, MANIFEST, io.BytesIO(words), len(words))
    return manifest


@contextmanager
def _snapshot(database: psycopg.Connection) -> Iterator[str]:
    """What the database holds at this moment, under a name by which pg_dump sees the same."""
    with database.transaction():
        database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = database.execute("SELECT pg_export_snapshot()").fetchone()
        yield row[0] if row else ""


def dump(to: Path, snapshot: str, server: int) -> None:
    """Let pg_dump write what the snapshot shows. Raises Failed."""
    to.touch(mode=0o600)
    words = ["--format=custom", "--no-owner", "--no-privileges", "--no-comments", f"--snapshot={snapshot}"]
    _run([pgtools.tool("pg_dump", server), *words, f"--file={to}", f"--dbname={pgtools.conninfo()}"])


def _run(command: list[Path | str]) -> None:
    done = subprocess.run(  # noqa: S603 (the commands are ours)
        command, env=pgtools.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"{Path(command[0]).name} failed:\n{done.stderr.strip()}")


def _about(database: psycopg.Connection) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "site": settings.SITE_URL,
        "server": major(database),
        "python": platform.python_version(),
        "django": django.get_version(),
        "migrations": applied(database),
    }


def major(database: psycopg.Connection) -> int:
    """The major version of the server, such as 18."""
    return database.info.server_version // 10000


def applied(database: psycopg.Connection) -> list[str]:
    """The migrations that this database has had, such as "tickets.0001_initial"."""
    if not _has(database, "django_migrations"):
        return []
    rows = database.execute("SELECT app || '.' || name FROM public.django_migrations ORDER BY 1").fetchall()
    return [name for (name,) in rows]


def in_the_code() -> set[str]:
    """The migrations that this version of the site brings."""
    return {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}


def tables(database: psycopg.Connection) -> list[tuple[str, str]]:
    """Schema and name of every table that holds rows of ours."""
    return database.execute(
        "SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE relkind = 'r' AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' ORDER BY 1, 2"
    ).fetchall()


def count(database: psycopg.Connection) -> dict[str, dict[str, Any]]:
    """Of every table the number of rows, and a digest of what they say that does not depend on their order."""
    question = sql.SQL(
        "SELECT count(*), coalesce(sum(('x' || left(md5(line::text), 15))::bit(60)::bigint), 0)::text FROM {} AS line"
    )
    counted = {}
    for schema, name in tables(database):
        row = database.execute(question.format(sql.Identifier(schema, name))).fetchone()
        if row is not None:
            counted[name if schema == "public" else f"{schema}.{name}"] = {"rows": row[0], "digest": row[1]}
    return counted


def stored_files(database: psycopg.Connection) -> dict[str, StoredFile]:
    """What the storage must hold by its name there: files, and the pictures drawn from them."""
    if not _has(database, StoredFile._meta.db_table):
        return {}
    wanted: dict[str, StoredFile] = {}
    for sha256, width in database.execute("SELECT sha256, width FROM public.aegir_support_storedfile WHERE is_kept"):
        file = StoredFile(sha256=sha256, width=width)
        names = [file.path, file.shown_path, file.thumbnail_path] if file.is_picture else [file.path]
        wanted |= dict.fromkeys(names, file)
    return wanted


def _has(database: psycopg.Connection, table: str) -> bool:
    return database.execute("SELECT to_regclass(%s)", [f"public.{table}"]).fetchone() != (None,)


def _add_files(archive: tarfile.TarFile, wanted: dict[str, StoredFile]) -> tuple[dict[str, Any], dict[str, str]]:
    added, lacking = {}, {}
    for name, row in sorted(wanted.items()):
        try:
            with default_storage.open(name) as file:
                added[name] = _add(archive, FILES + name, file, file.size)
        except FileNotFoundError:
            # Nothing pointed to it, and the sweep removed it since the snapshot.
            if StoredFile.objects.filter(sha256=row.sha256).exists():
                lacking[name] = "is missing in the storage."
            continue
        if name == row.path and added[name]["sha256"] != row.sha256:
            lacking[name] = "is not what its name says: its bytes have changed in the storage."
    return added, lacking


def _add(archive: tarfile.TarFile, name: str, content: Any, length: int) -> dict[str, Any]:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = length, 0o600, int(time.time())
    hashed = _Hashed(content)
    archive.addfile(member, hashed)
    return {"sha256": hashed.sha256.hexdigest(), "bytes": length}


class _Hashed:
    """Reads on behalf of somebody else and keeps the hash of what was read."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self.sha256 = hashlib.sha256()

    def read(self, most: int = -1) -> bytes:
        block: bytes = self._content.read(most)
        self.sha256.update(block)
        return block


def sha256_of(content: Any) -> str:
    """The hash of all that is left to read."""
    sha256 = hashlib.sha256()
    while block := content.read(BLOCK):
        sha256.update(block)
    return sha256.hexdigest()


def size(path: Path) -> int:
    return path.stat().st_size


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.1f} s"
