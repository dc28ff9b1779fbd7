"""Bring an archive of `backup` back: everything in it or nothing, and then hold it against its own list."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import psycopg
from django.core.files.base import File
from django.core.files.storage import default_storage
from psycopg import sql

from . import backup, pgtools
from .backup import Failed, Say

ASIDE = "before_restore"


@contextmanager
def opened(path: Path) -> Iterator[tuple[tarfile.TarFile, dict[str, Any]]]:
    """The archive and its manifest. Raises Failed where it is none of ours."""
    try:
        with tarfile.open(path, "r:") as archive:
            manifest = json.loads(_member(archive, backup.MANIFEST).read())
            if manifest["format"] != backup.FORMAT:
                raise Failed(f"{path} was made by another version of this command; use that one.")
            yield archive, manifest
    except (OSError, tarfile.TarError, ValueError, KeyError, EOFError) as error:
        raise Failed(f"{path} is no whole archive of ours: {error}") from error


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.extractfile(name)
    if member is None:
        raise Failed(f"{name} is no file in the archive.")
    return member


def damage(archive: tarfile.TarFile, manifest: dict[str, Any]) -> list[str]:
    """What in the archive is not as its manifest says, a sentence each."""
    parts = {backup.FILES + name: facts for name, facts in manifest["files"].items()}
    parts[backup.DUMP] = manifest["database"]
    inside = {member.name for member in archive.getmembers() if member.isfile()} - {backup.MANIFEST}
    found = [f"{name} is missing in the archive." for name in sorted(parts.keys() - inside)]
    found += [f"{name} is in the archive and not in its list." for name in sorted(inside - parts.keys())]
    for name in sorted(parts.keys() & inside):
        if not _is_inside(name):
            found.append(f"{name} would lie outside the folder of files.")
        elif backup.sha256_of(_member(archive, name)) != parts[name]["sha256"]:
            found.append(f"{name} in the archive is damaged.")
    return found


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def restore(path: Path, say: Say, *, replace: bool = False) -> dict[str, Any]:
    """Load the archive and verify it. Returns its manifest. Raises Failed, and then the database is as it was before.

    A database that has tables is left alone, unless it is to be replaced.
    """
    with opened(path) as (archive, manifest):
        if found := damage(archive, manifest):
            raise Failed("Nothing was changed.\n" + "\n".join(found))
        if newer := sorted(set(manifest["migrations"]) - backup.in_the_code()):
            raise Failed(f"The copy was made by a newer version of this site; it has had {', '.join(newer)}.")
        say(f"The archive of {manifest['made_at']} is whole.")
        with pgtools.connect() as database:
            _take_back(database, say)
            _check(database, replace)
            with _put_aside(database):
                _load(archive, backup.major(database))
        say(f"Database loaded: {sum(facts['rows'] for facts in manifest['tables'].values())} rows.")
        try:
            _put_back(archive, manifest["files"])
        except backup.TROUBLE as error:
            raise Failed(f"The database is loaded, the files are not: {error}\nDo it again, with --replace.") from error
        say(f"{len(manifest['files'])} files put back.")
    if found := differences(manifest):
        raise Failed("It is loaded, and not what was copied:\n" + "\n".join(found))
    say("Every table and every file is as it was.")
    return manifest


def _take_back(database: psycopg.Connection, say: Say) -> None:
    """Where a restore was killed while it loaded, what it had put aside is still there, and nothing else is."""
    schemas = {schema for schema, _name in backup.tables(database)}
    if ASIDE in schemas and "public" not in schemas:
        _swap(database, ASIDE, "public", instead_of="public")
        say("A restore was broken off here. What was in the database before it is back.")


def _check(database: psycopg.Connection, replace: bool) -> None:
    if not backup.tables(database):
        return
    name = database.info.dbname
    if not replace:
        raise Failed(f"The database {name} is not empty. Name an empty one in DATABASE_URL, or say --replace.")
    others = database.execute(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    ).fetchone()
    if others and others[0]:
        raise Failed(f"{others[0]} other programs use the database {name}. Stop web, worker and beat first.")


@contextmanager
def _put_aside(database: psycopg.Connection) -> Iterator[None]:
    """Keep what is in the database until its successor is there, and bring it back where that fails."""
    if not backup.tables(database):
        yield
        return
    database.execute(
        sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(ASIDE))
    )  # of one killed at its end
    _swap(database, "public", ASIDE)
    try:
        yield
    except BaseException:
        _swap(database, ASIDE, "public", instead_of="public")
        raise
    database.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(ASIDE)))


def _swap(database: psycopg.Connection, name: str, to: str, *, instead_of: str = "") -> None:
    """Rename a schema. Extensions stay in `public`: the tables of both lean on them, and there is one of each."""
    extensions = database.execute(
        "SELECT extname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE nspname = 'public'"
    ).fetchall()
    with database.transaction():
        if instead_of:
            for (extension,) in extensions:
                database.execute(_move(extension, name))
            database.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(instead_of)))
        database.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to)))
        if not instead_of:
            database.execute("CREATE SCHEMA public")
            for (extension,) in extensions:
                database.execute(_move(extension, "public"))


def _move(extension: str, schema: str) -> sql.Composed:
    return sql.SQL("ALTER EXTENSION {} SET SCHEMA {}").format(sql.Identifier(extension), sql.Identifier(schema))


def _load(archive: tarfile.TarFile, server: int) -> None:
    words = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-comments"]
    command: list[str | Path] = [pgtools.tool("pg_restore", server), *words, f"--dbname={pgtools.conninfo()}"]
    with subprocess.Popen(  # noqa: S603 (the command is ours)
        command, env=pgtools.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as loading:
        dump = _member(archive, backup.DUMP)
        try:
            while loading.stdin and (block := dump.read(backup.BLOCK)):
                loading.stdin.write(block)
        except BrokenPipeError:
            pass  # it says why below
        said, _nothing = loading.communicate()
    if loading.returncode:
        raise Failed(f"pg_restore failed, and the database is as it was:\n{said.decode().strip()}")


def _put_back(archive: tarfile.TarFile, files: dict[str, Any]) -> None:
    for name, facts in files.items():
        if default_storage.exists(name):
            if _stored_hash(name) == facts["sha256"]:
                continue
            default_storage.delete(name)
        if (given := default_storage.save(name, File(_member(archive, backup.FILES + name), name))) != name:
            raise Failed(f"The storage called {name} {given}.")


def _stored_hash(name: str) -> str:
    with default_storage.open(name) as file:
        return backup.sha256_of(file)


def differences(manifest: dict[str, Any]) -> list[str]:
    """What database and storage hold otherwise than the manifest says, a sentence each."""
    with pgtools.connect() as database:
        here, there = backup.count(database), manifest["tables"]
        as_copied = backup.applied(database) == manifest["migrations"]
    found = [] if as_copied else ["The migrations are not those of the copy."]
    for name in sorted(here.keys() | there.keys()):
        found += _difference(name, there.get(name), here.get(name))
    for name, facts in sorted(manifest["files"].items()):
        if not default_storage.exists(name):
            found.append(f"File {name} is missing.")
        elif _stored_hash(name) != facts["sha256"]:
            found.append(f"File {name} is not what was copied.")
    return found


def _difference(table: str, copied: dict[str, Any] | None, loaded: dict[str, Any] | None) -> list[str]:
    if copied is None or loaded is None:
        return [f"Table {table} is {'not in the list' if copied is None else 'missing'}."]
    if copied["rows"] != loaded["rows"]:
        return [f"Table {table} has {loaded['rows']} rows; {copied['rows']} were copied."]
    if copied != loaded:
        return [f"Table {table} has as many rows as were copied, and they say something else."]
    return []
