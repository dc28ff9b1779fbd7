"""A copy can be restored, and the drill that proves it notices what is not as it was.

Everything is real: pg_dump and pg_restore, a second PostgreSQL, a log-in in another process.
"""

import io
import json
import re
import tarfile
from hashlib import sha256

import psycopg
import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from aegir_support import backup, embedded, files, pgtools, restore
from aegir_support.drill import log_one_in
from aegir_support.models import Deed
from members.models import User
from tests.files import bucket
from tests.tickets.filing import file, offer_of
from tickets import handout

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

WORDS = [b"An error log.\n" * 100, b"\x89PNG and then nothing that a picture has"]


@pytest.fixture
def data(cast, settings, tmp_path):
    """Some work, and two files that belong to it."""
    settings.STORAGES = files_in(settings, tmp_path / "files")
    handout.accept(offer_of(file(cast.hal)), cast.ana)
    file(cast.gita)
    return [files.store(ContentFile(words)) for words in WORDS]


@pytest.fixture
def copy(data, tmp_path):
    path = tmp_path / "copy.tar"
    call_command("backup", path)
    return path


@pytest.fixture
def elsewhere(data, settings, tmp_path, monkeypatch):
    """An empty database and an empty folder beside those of the test: `elsewhere("restore", copy)` works on them."""
    name = f"{connection.settings_dict['NAME']}_elsewhere"
    with pgtools.connect() as database:
        database.execute(f"CREATE DATABASE {name}")
    try:
        yield Elsewhere(name, settings, tmp_path / "elsewhere", monkeypatch)
    finally:
        with pgtools.connect() as database:
            database.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Elsewhere:
    def __init__(self, name, settings, folder, monkeypatch):
        self.name, self.settings, self.folder, self.monkeypatch = name, settings, folder, monkeypatch

    def __call__(self, *words, storage=None):
        """Run a command there; return whether it did what it was asked, and its words."""
        said = io.StringIO()
        with self.monkeypatch.context() as there:
            there.setitem(connection.settings_dict, "NAME", self.name)
            self.settings.STORAGES = storage or files_in(self.settings, self.folder)
            try:
                call_command(*words, stdout=said)
            except CommandError as error:
                return False, said.getvalue() + str(error)
        return True, said.getvalue()

    def ask(self, question):
        with self.connected() as database:
            return database.execute(question).fetchone()

    def do(self, words):
        with self.connected() as database:
            database.execute(words)

    def connected(self):
        return psycopg.connect(pgtools.conninfo(), dbname=self.name, autocommit=True)


def files_in(settings, folder):
    default = settings.STORAGES["default"] | {"OPTIONS": {"location": str(folder)}}
    return settings.STORAGES | {"default": default}


def drill(*words):
    """What a drill says, and whether it passes."""
    said = io.StringIO()
    try:
        call_command("restore_drill", *words, stdout=said)
    except CommandError as error:
        return False, said.getvalue() + str(error)
    return True, said.getvalue()


# What restoring alone must notice, the drill must notice as well, and takes longer over it.
by_both = pytest.mark.parametrize("by", ["restore", pytest.param("drill", marks=pytest.mark.long)])


def behind_our_back(words):
    """Change the data in a way the database would refuse."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(words)


# The copy


def test_a_copy_holds_everything_and_nobody_else_may_read_it(copy, data):
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in copy.parent.glob("*unfinished*")] == []
    with tarfile.open(copy) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))
        inside = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}
    assert {inside[f"files/{file.path}"] for file in data} == set(WORDS)
    assert manifest["tables"]["tickets_ticket"]["rows"] == 2
    assert "aegir_support.0001_outbox" in manifest["migrations"]
    assert manifest["files"][data[0].path] == {"sha256": data[0].sha256, "bytes": len(WORDS[0])}
    assert manifest["database"]["sha256"] == sha256(inside["database.dump"]).hexdigest()


def test_a_copy_is_on_record_as_an_export_of_everything(copy):
    [deed] = Deed.objects.filter(kind=Deed.Kind.EXPORTED)
    assert deed.changes == {"files": 2, "bytes": copy.stat().st_size}


def test_a_copy_goes_into_a_folder_under_its_time_and_never_over_another(data, tmp_path, copy):
    folder = tmp_path / "copies"
    folder.mkdir()
    call_command("backup", folder)
    [made] = folder.iterdir()
    assert re.fullmatch(r"aegir-support-\d{8}T\d{6}Z\.tar", made.name)
    with pytest.raises(CommandError, match="is there already"):
        call_command("backup", copy)
    with pytest.raises(CommandError, match="No copy was made"):
        call_command("backup", tmp_path / "nowhere" / "copy.tar")


def test_what_is_written_meanwhile_is_not_half_in_the_copy(data, cast, tmp_path):
    """Rows are counted and dumped as of one moment, and what comes later is in neither."""
    said = []

    def file_another(line):
        if line.startswith("Database dumped"):
            file(cast.hal)
        said.append(line)

    _path, manifest = backup.make(tmp_path / "copy.tar", file_another)
    assert said
    assert manifest["tables"]["tickets_ticket"]["rows"] == 2


def test_a_file_that_is_lost_or_changed_is_told_and_the_copy_is_made_all_the_same(data, tmp_path):
    lost, changed = data
    default_storage.delete(lost.path)
    default_storage.save(changed.path, ContentFile(b"other words"))
    with pytest.raises(CommandError) as told:
        call_command("backup", tmp_path / "copy.tar")
    assert f"{lost.path} is missing" in str(told.value)
    assert f"{changed.path} is not what its name says" in str(told.value)
    assert (tmp_path / "copy.tar").exists()


def test_a_tool_that_is_too_old_for_the_server_is_not_used():
    assert pgtools.tool("pg_dump", 18).is_relative_to(embedded.postgres_program("pg_dump").parent)
    with pytest.raises(pgtools.ToolMissing, match="postgresql-client-99"):
        pgtools.tool("pg_dump", 99)


# Back again


def test_a_copy_is_restored_into_an_empty_database(copy, data, elsewhere):
    done, said = elsewhere("restore", copy)
    assert done, said
    assert "Every table and every file is as it was." in said
    assert elsewhere.ask("SELECT count(*) FROM tickets_ticket") == (2,)
    for stored, words in zip(data, WORDS, strict=True):
        assert (elsewhere.folder / stored.path).read_bytes() == words
        assert (elsewhere.folder / stored.path).stat().st_mode & 0o777 == 0o600


def test_a_database_that_is_not_empty_is_left_alone_until_it_is_to_be_replaced(copy, elsewhere):
    assert elsewhere("restore", copy)[0]
    elsewhere.do("CREATE TABLE later (id int)")
    done, said = elsewhere("restore", copy)
    assert not done
    assert "is not empty" in said
    assert elsewhere.ask("SELECT to_regclass('later')") == ("later",)
    done, said = elsewhere("restore", copy, "--replace")
    assert done, said
    assert elsewhere.ask("SELECT count(*), to_regclass('later') FROM tickets_ticket") == (2, None)
    assert elsewhere.ask("SELECT nspname FROM pg_namespace WHERE nspname = 'before_restore'") is None


def test_a_database_in_use_is_not_replaced(copy, elsewhere):
    assert elsewhere("restore", copy)[0]
    with elsewhere.connected():
        done, said = elsewhere("restore", copy, "--replace")
    assert not done
    assert "Stop web, worker and beat first" in said


def test_a_restore_that_fails_half_way_leaves_what_was_there(copy, elsewhere, tmp_path):
    assert elsewhere("restore", copy)[0]
    broken = changed(copy, tmp_path / "broken.tar", database=lambda dump: dump[: len(dump) // 2])
    done, said = elsewhere("restore", broken, "--replace")
    assert not done
    assert "the database is as it was" in said
    assert elsewhere.ask("SELECT count(*) FROM tickets_ticket") == (2,)
    assert elsewhere("restore", copy, "--replace")[0], "and it is whole enough to be replaced again"


def test_after_a_restore_that_was_killed_the_next_one_brings_back_what_was_there(copy, elsewhere):
    """As a closed terminal kills it: what was there is put aside, and nothing is loaded yet."""
    assert elsewhere("restore", copy)[0]
    elsewhere.do("CREATE TABLE later (id int)")
    with elsewhere.connected() as database:
        restore._swap(database, "public", restore.ASIDE)
    assert elsewhere.ask("SELECT to_regclass('tickets_ticket')") == (None,)
    done, said = elsewhere("restore", copy)
    assert not done
    assert "What was in the database before it is back." in said
    assert "is not empty" in said
    assert elsewhere.ask("SELECT count(*), to_regclass('later') FROM tickets_ticket") == (2, "later")
    elsewhere.do("CREATE SCHEMA before_restore CREATE TABLE left_over (id int)")
    done, said = elsewhere("restore", copy, "--replace")
    assert done, said
    assert elsewhere.ask("SELECT to_regnamespace('before_restore'), to_regclass('later')") == (None, None)


@pytest.mark.parametrize("words", [b"", b"no archive at all" * 1000])
def test_what_is_no_archive_changes_nothing(words, elsewhere, tmp_path):
    (tmp_path / "other.tar").write_bytes(words)
    done, said = elsewhere("restore", tmp_path / "other.tar")
    assert not done
    assert "is no whole archive of ours" in said


def test_a_copy_of_a_newer_version_is_refused(copy, elsewhere, tmp_path):
    later = "tickets.0999_later"
    newer = changed(copy, tmp_path / "newer.tar", manifest=lambda facts: facts["migrations"].append(later))
    done, said = elsewhere("restore", newer)
    assert not done
    assert "newer version of this site; it has had tickets.0999_later" in said


def test_a_file_is_never_put_outside_of_its_folder(copy, elsewhere, tmp_path):
    def lead_out(facts):
        facts["files"]["../../outside"] = facts["files"].popitem()[1]

    done, said = elsewhere("restore", changed(copy, tmp_path / "bad.tar", manifest=lead_out, rename="../../outside"))
    assert not done
    assert "files/../../outside would lie outside the folder of files." in said


def test_a_word_that_is_another_is_noticed(copy, elsewhere, tmp_path):
    behind_our_back("UPDATE tickets_ticket SET subject = number || ' differs'")
    done, said = elsewhere("restore", mixed(copy, tmp_path))
    assert not done
    assert "Table tickets_ticket has as many rows as were copied, and they say something else." in said


def test_a_file_that_is_gone_is_noticed(copy, data, elsewhere, tmp_path):
    done, said = elsewhere("restore", changed(copy, tmp_path / "less.tar", without=f"files/{data[1].path}"))
    assert not done
    assert f"files/{data[1].path} is missing in the archive." in said


def test_files_go_from_a_bucket_and_back_into_one(cast, settings, tmp_path, elsewhere):
    with bucket.in_use(settings) as first:
        stored = [files.store(ContentFile(words)) for words in WORDS]
        call_command("backup", tmp_path / "copy.tar")
        default_storage.connection.meta.client.close()
    assert len(first.objects) == 2
    with bucket.in_use(settings) as second:
        there = default_storage
        assert not there.exists(stored[0].path)
        done, said = elsewhere("restore", tmp_path / "copy.tar", storage=settings.STORAGES)
        assert done, said
        assert second.objects == first.objects
        there.connection.meta.client.close()


def test_a_database_that_is_away_is_told_in_a_sentence(copy, elsewhere, tmp_path):
    elsewhere.name = "nowhere"
    for words in [["restore", copy], ["backup", tmp_path / "another.tar"]]:
        done, said = elsewhere(*words)
        assert not done
        assert 'database "nowhere" does not exist' in said


# The drill, and what it must notice


def test_the_drill_passes_on_what_is_in_use_and_changes_nothing(data):
    before = _everything()
    passed, said = drill()
    assert passed, said
    assert "One person has logged in." in said
    assert "The drill has passed." in said
    assert re.search(r"\d+ tables, \d+ rows, 2 files, \d+ file bytes, \d+ bytes\.", said)
    assert _everything() == before


def _everything():
    with pgtools.connect() as database:
        return backup.count(database)


@by_both
def test_a_row_that_is_gone_is_noticed(copy, elsewhere, tmp_path, by):
    behind_our_back("DELETE FROM tickets_message WHERE id = (SELECT max(id) FROM tickets_message)")
    passed, said = noticed(by, mixed(copy, tmp_path), elsewhere)
    assert not passed
    assert re.search(r"Table tickets_message has \d+ rows; \d+ were copied\.", said)


@by_both
def test_a_flipped_byte_is_noticed(copy, data, elsewhere, tmp_path, by):
    damaged = tmp_path / "damaged.tar"
    whole = copy.read_bytes()
    at = whole.index(WORDS[0])
    damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    passed, said = noticed(by, damaged, elsewhere)
    assert not passed
    assert f"files/{data[0].path} in the archive is damaged." in said


def test_the_drill_notices_what_must_not_be(data):
    behind_our_back("DELETE FROM tickets_event WHERE kind = 'accepted'")
    passed, said = drill()
    assert not passed
    assert "Every answer is in the log" in said


def noticed(by, archive, elsewhere):
    return elsewhere("restore", archive) if by == "restore" else drill(archive)


def test_the_drill_needs_somebody_who_can_log_in(data):
    assert log_one_in(print) == []
    behind_our_back("UPDATE members_user SET is_active = false")
    assert log_one_in(print) == ["There is nobody in the copy who could log in."]


def test_the_drill_is_content_with_the_second_factor_where_everybody_has_one(data, capsys):
    for user in User.objects.filter(is_active=True):
        TOTP.activate(user, "A" * 32)
    assert log_one_in(print) == []
    assert "as far as the second factor" in capsys.readouterr().out


# Archives that are not what was copied


def mixed(copy, tmp_path):
    """The list of `copy` and the database of now."""
    call_command("backup", later := tmp_path / "later.tar")
    with tarfile.open(later) as archive:
        dump = archive.extractfile("database.dump").read()
    return changed(copy, tmp_path / "mixed.tar", database=lambda _dump: dump)


def changed(archive, to, *, database=lambda dump: dump, manifest=lambda facts: None, without="", rename=""):
    """The archive with another dump or list; its list vouches for the dump, as one that was made so would."""
    with tarfile.open(archive) as old:
        inside = {member.name: old.extractfile(member).read() for member in old.getmembers()}
    dump = inside["database.dump"] = database(inside["database.dump"])
    facts = json.loads(inside["manifest.json"])
    if rename:
        inside[f"files/{rename}"] = inside.pop("files/" + list(facts["files"])[-1])
    facts["database"] = {"sha256": sha256(dump).hexdigest(), "bytes": len(dump)}
    manifest(facts)
    inside["manifest.json"] = json.dumps(facts).encode()
    inside.pop(without, None)
    with tarfile.open(to, "x") as new:
        for name, content in inside.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return to
