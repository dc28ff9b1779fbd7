"""The servers that come with our packages, the addresses they answer at, and the supervisor that keeps them."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from aegir_support import addresses, embedded
from aegir_support.processes import Child, NotReady, Supervisor


def is_running(pid):
    """True for a living process; one that has ended and was not yet collected does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(holds, within=10.0):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


# Addresses


def test_an_address_depends_only_on_the_folder(tmp_path):
    assert embedded.database_url(tmp_path) == embedded.database_url(tmp_path / "run" / "..")
    assert embedded.database_url(tmp_path) != embedded.database_url(tmp_path / "other")
    assert embedded.redis_url(tmp_path).startswith("unix:///")


def test_a_socket_lies_in_the_folder_where_its_path_is_short_enough():
    assert embedded.socket_dir(Path("/srv/aegir/.local/demo")) == Path("/srv/aegir/.local/demo/run")


def test_a_deep_folder_has_its_sockets_elsewhere():
    deep = Path("/srv") / ("deep" * 30)
    assert len(str(embedded.socket_dir(deep) / embedded.POSTGRES_SOCKET)) <= embedded.LONGEST_SOCKET_PATH
    assert embedded.socket_dir(deep) != embedded.socket_dir(deep / "er")


def test_django_gets_what_the_address_says():
    entry = addresses.django_database(
        "postgresql://ana:p%40ss@db.example:6432/support?sslmode=require", pool_size=4, session={"lock_timeout": "3s"}
    )
    assert (entry["NAME"], entry["USER"], entry["PASSWORD"]) == ("support", "ana", "p@ss")
    assert (entry["HOST"], entry["PORT"]) == ("db.example", "6432")
    assert entry["OPTIONS"]["sslmode"] == "require"
    assert entry["OPTIONS"]["options"] == "-c lock_timeout=3s"
    assert entry["OPTIONS"]["pool"]["max_size"] == 4


def test_options_of_the_address_come_after_ours_and_so_win():
    entry = addresses.django_database(
        "postgresql:///support?options=-c%20lock_timeout%3D9s", pool_size=0, session={"lock_timeout": "3s"}
    )
    assert entry["OPTIONS"]["options"] == "-c lock_timeout=3s -c lock_timeout=9s"
    assert "pool" not in entry["OPTIONS"]


@pytest.mark.parametrize(
    ("url", "asked"),
    [("postgresql:///support", None), ("postgresql:///support?options=-c%20work_mem%3D8MB", "-c work_mem=8MB")],
)
def test_settings_without_a_value_are_not_asked_for(url, asked):
    entry = addresses.django_database(url, pool_size=0, session={"lock_timeout": "", "statement_timeout": ""})
    assert entry["OPTIONS"].get("options") == asked


@pytest.mark.parametrize(("pool_size", "disabled"), [(0, True), (8, False)])
def test_a_pool_of_others_gets_no_cursor_that_outlives_its_transaction(pool_size, disabled):
    entry = addresses.django_database("postgresql:///support", pool_size=pool_size, session={})
    assert entry["DISABLE_SERVER_SIDE_CURSORS"] is disabled


@pytest.mark.parametrize(
    ("redis", "broker"),
    [
        ("redis://valkey.example:6379/1", "redis://valkey.example:6379/1"),
        ("rediss://:secret@valkey.example/0", "rediss://:secret@valkey.example/0"),
        ("unix:///run/valkey.sock?db=0", "redis+socket:///run/valkey.sock?virtual_host=0"),
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock?virtual_host=0"),
        ("unix://ana:secret@/run/valkey.sock?db=2", "redis+socket://ana:secret@/run/valkey.sock?virtual_host=2"),
    ],
)
def test_celery_gets_the_same_server(redis, broker):
    assert addresses.broker_url(redis) == broker


# Servers


@pytest.fixture
def postgres(tmp_path):
    with embedded.Postgres(tmp_path, settings=["fsync=off"]) as server:
        yield server


@pytest.mark.processes
def test_postgres_keeps_its_data_when_it_is_killed(postgres):
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'Ægir' AS name")
    postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres.url)
    postgres.start()
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT lower(name) FROM kept").fetchone() == ("ægir",)


@pytest.mark.processes
def test_postgres_starts_beside_a_query_that_outlived_the_last_one(postgres):
    with closing(psycopg.connect(postgres.url)) as connection:
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
        time.sleep(0.2)
        postgres.kill()
        postgres.start()
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.processes
def test_postgres_starts_where_the_number_of_a_killed_one_has_a_new_owner(postgres, tmp_path):
    postgres.kill()
    pid_file = tmp_path / "postgres" / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split()[0], str(os.getpid()), 1))
    postgres.start()
    assert postgres.child.is_running


@pytest.mark.processes
def test_postgres_begins_again_where_its_first_start_was_broken_off(tmp_path):
    (tmp_path / "postgres.unfinished").mkdir()
    (tmp_path / "postgres.unfinished" / "PG_VERSION").write_text("1")
    with embedded.Postgres(tmp_path, settings=["fsync=off"]) as server:
        assert server.child.is_running


@pytest.mark.processes
def test_data_of_another_version_are_left_alone_with_a_sentence(postgres, tmp_path):
    postgres.stop()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(NotReady, match="was made by PostgreSQL 9"):
        postgres.start()


@pytest.mark.processes
def test_a_server_that_cannot_start_shows_its_own_words(tmp_path):
    with pytest.raises(NotReady, match=r"(?s)PostgreSQL did not start.*no_such_setting"):
        embedded.Postgres(tmp_path, settings=["no_such_setting=1"]).start()


@pytest.mark.processes
def test_servers_work_in_a_folder_deeper_than_a_socket_may_be(tmp_path):
    deep = tmp_path / ("deep" * 30)
    with embedded.Postgres(deep, settings=["fsync=off"]) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with embedded.Valkey(deep) as valkey:
        assert valkey.child.is_running
    embedded.socket_dir(deep).rmdir()


@pytest.mark.processes
def test_nobody_else_may_enter_the_folder_of_the_sockets(postgres, tmp_path):
    assert (tmp_path / "run").stat().st_mode & 0o077 == 0


@pytest.mark.processes
def test_valkey_comes_back_empty(tmp_path):
    redis = pytest.importorskip("redis")
    with embedded.Valkey(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.set("offer", "41")
        server.kill()
        server.start()
        assert client.get("offer") is None


# The supervisor


@pytest.fixture
def said():
    return []


@pytest.fixture
def supervisor(said):
    supervisor = Supervisor(said.append, lambda: "")
    yield supervisor
    supervisor.stop()


def program(tmp_path, code, name="Web", **options):
    return Child(name, [sys.executable, "-c", textwrap.dedent(code)], log=tmp_path / f"{name}.log", **options)


@pytest.mark.processes
def test_a_program_that_dies_is_started_again(tmp_path, supervisor, said):
    web = program(tmp_path, "import time; time.sleep(60)")
    supervisor.start(web)
    first = web.pid
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: not web.is_running)
    supervisor.look()
    assert web.is_running
    assert web.pid != first
    assert said == ["Web has ended unexpectedly; starting it again."]


@pytest.mark.processes
def test_a_program_that_keeps_dying_is_started_ever_later_and_its_words_are_shown(tmp_path, supervisor, said):
    web = program(tmp_path, "raise SystemExit('no settings')")
    supervisor.start(web)
    for _ in range(2):
        assert eventually(lambda: not web.is_running)
        supervisor.look()
    assert "no settings" in said[-1]
    assert not web.is_running


@pytest.mark.processes
def test_the_reason_is_said_where_it_is_known(tmp_path, said):
    supervisor = Supervisor(said.append, lambda: "The disk is full.")
    supervisor.start(program(tmp_path, "raise SystemExit(1)"))
    assert eventually(lambda: supervisor.look() or said)
    supervisor.stop()
    assert said[0].endswith("The disk is full.")


@pytest.mark.processes
def test_stopping_ends_what_the_programs_themselves_have_started(tmp_path, supervisor):
    parent = program(
        tmp_path,
        """
        import subprocess, sys, time
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
        time.sleep(60)
        """,
    )
    supervisor.start(parent)
    assert eventually(lambda: parent.tail().strip())
    grandchild = int(parent.tail())
    assert is_running(grandchild)
    supervisor.stop()
    assert eventually(lambda: not is_running(grandchild))


@pytest.mark.processes
def test_a_program_that_will_not_end_is_ended(tmp_path, supervisor):
    stubborn = program(
        tmp_path,
        "from signal import *; signal(SIGTERM, SIG_IGN); print(True, flush=True); pause()",
        patience=0.2,
    )
    supervisor.start(stubborn)
    assert eventually(lambda: "True" in stubborn.tail())
    supervisor.stop()
    assert not stubborn.is_running


@pytest.mark.processes
def test_programs_end_with_a_supervisor_that_was_killed(tmp_path):
    code = f"""
        import time
        from pathlib import Path
        from aegir_support import embedded
        postgres = embedded.Postgres(Path({str(tmp_path)!r}), settings=["fsync=off"])
        valkey = embedded.Valkey(Path({str(tmp_path)!r}))
        postgres.start()
        valkey.start()
        print(postgres.child.pid, valkey.child.pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as running:
        pids = [int(pid) for pid in running.stdout.readline().split()]
        assert all(map(is_running, pids))
        running.kill()
    assert eventually(lambda: not any(map(is_running, pids)))
