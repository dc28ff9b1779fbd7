"""Every change of a row is on record with who asked, what for and from where; and the record is only added to."""

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from psycopg.sql import SQL, Identifier, Literal

from aegir_support import deeds
from aegir_support.models import Deed
from members.models import Member
from tests.tickets.filing import file

pytestmark = pytest.mark.django_db


def run(sql, params=None, many=False):
    with connection.cursor() as cursor:
        (cursor.executemany if many else cursor.execute)(sql, params)


def latest(about, **facts):
    return Deed.objects.filter(about=about, **facts).first()


@pytest.fixture
def ana_at_work(ana):
    who = ana.user.pk
    with deeds.told(deeds.Doer(lambda: who, lambda: "a:story", from_where="192.0.2.7", request_id=lambda: "request-1")):
        yield


def test_a_change_is_on_record_with_who_what_from_where_and_in_which_request(lima, ana, ana_at_work):
    lima.status = Member.Status.PAUSED
    lima.save()
    deed = latest("members_member")
    assert (deed.kind, deed.about_pk, deed.changes) == ("changed", str(lima.pk), {"status": ["active", "paused"]})
    assert (deed.who, deed.what, deed.from_where, deed.request_id) == (
        ana.user.pk,
        "a:story",
        "192.0.2.7",
        "request-1",
    )


def test_the_time_is_that_of_the_database(lima, time_machine, ana_at_work):
    time_machine.move_to("1999-12-31")
    Member.objects.filter(pk=lima.pk).update(country="NL")
    assert latest("members_member").at.year > 2000


def test_adding_and_removing_are_on_record(ana_at_work):
    client = Member.objects.create(name="Nobody", kind="person", country="NL")
    pk = client.pk
    client.delete()
    removed, added = Deed.objects.filter(about="members_member", about_pk=pk)
    assert (added.kind, removed.kind) == ("added", "removed")
    assert added.changes["country"] == [None, "NL"]
    assert removed.changes["country"] == ["NL", None]


def test_a_bulk_update_leaves_a_deed_for_each_row_it_changed_and_none_for_others(cast, ana_at_work):
    others = Member.objects.exclude(country="CA").count()
    assert Member.objects.update(country="CA") > others
    assert Deed.objects.filter(about="members_member", kind="changed").count() == others


def test_a_change_into_the_same_is_none(lima, ana_at_work):
    lima.save()
    assert latest("members_member", kind="changed") is None


def raw(lima):
    run("UPDATE members_member SET country = 'FR' WHERE id = %s", [lima.pk])


def raw_without_parameters(lima):
    run(f"update members_member set country = 'FR' where id = {lima.pk};  ")  # noqa: S608


def with_a_query(lima):
    run(
        "WITH one AS (SELECT %s AS id) UPDATE members_member m SET country = 'FR' FROM one WHERE m.id = one.id",
        [lima.pk],
    )


def many(lima):
    run("UPDATE members_member SET country = %s WHERE id = %s", [("DE", lima.pk), ("FR", lima.pk)], many=True)


def composed(lima):
    run(SQL("UPDATE {} SET country = {} WHERE id = {}").format(Identifier("members_member"), Literal("FR"), lima.pk))


def upserted(lima):
    lima.country = "FR"
    Member.objects.bulk_create([lima], update_conflicts=True, update_fields=["country"], unique_fields=["name"])


def bulk(lima):
    lima.country = "FR"
    Member.objects.bulk_update([lima], ["country"])


@pytest.mark.parametrize("way", [raw, raw_without_parameters, with_a_query, many, composed, upserted, bulk])
def test_by_whatever_road_it_says_who(lima, ana, ana_at_work, way):
    way(lima)
    deed = latest("members_member")
    assert (deed.kind, deed.changes["country"][1], deed.who) == ("changed", "FR", ana.user.pk)


@pytest.mark.parametrize("prepare", [False, True])
def test_it_says_who_also_where_the_server_binds_the_parameters(lima, ana, prepare):
    """Django binds in the client unless told otherwise (`server_side_binding`)."""
    connection.ensure_connection()
    with deeds.by(ana.user, what="bound") as doer, psycopg.Cursor(connection.connection) as cursor:
        statement = "UPDATE members_member SET country = %s WHERE id = %s" + doer.comment()  # noqa: S608
        cursor.execute(statement, ["FR", lima.pk], prepare=prepare)
    deed = latest("members_member")
    assert (deed.changes["country"][1], deed.who, deed.what) == ("FR", ana.user.pk, "bound")


def test_copied_rows_are_on_record_without_a_doer(ana_at_work):
    with connection.cursor() as cursor, cursor.copy("COPY auth_group (name) FROM STDIN") as copy:
        copy.write_row(["helpers"])
    deed = latest("auth_group")
    assert (deed.kind, deed.changes["name"], deed.who) == ("added", [None, "helpers"], None)


def test_words_and_secrets_are_said_to_have_changed_and_not_into_what(hal, ana_at_work):
    ticket = file(hal, subject="Secret subject", description="Secret words")
    hal.user.set_password("a secret password")
    hal.user.name, hal.user.email = "Secret Name", "secret@home.example"
    hal.user.save()
    assert latest("members_user").changes.keys() >= {"name", "email", "password"}
    assert latest("tickets_ticket", kind="added").changes["subject"] is None
    assert latest("tickets_message").changes["body"] is None
    assert ticket.filing_key
    everything = str(list(Deed.objects.values())).lower()
    for secret in ["secret", "home.example", str(ticket.filing_key), hal.user.password.lower()]:
        assert secret not in everything


FORGED = "/*deed:999|192.0.2.66|forged|forged*/"


@pytest.mark.parametrize(
    "words", [FORGED, f"x'{FORGED}", f"x\\'{FORGED}", f"x{FORGED}--", f"%s{FORGED}", f"$$x{FORGED}", f"*/{FORGED}"]
)
@pytest.mark.parametrize("is_told", [True, False])
def test_words_that_look_like_a_doer_are_not_believed(ana, words, is_told):
    """As the last literal of a statement, with a doer told behind it and with none."""
    statement = "INSERT INTO members_calendar (time_zone, name) VALUES ('UTC', %s)"
    if is_told:
        with deeds.by(ana.user, what="honest"):
            run(statement, [words])
    else:
        run(statement, [words])
    deed = latest("members_calendar")
    assert (deed.who, deed.what) == ((ana.user.pk, "honest") if is_told else (None, ""))
    assert deed.request_id != "forged"
    assert deed.from_where is None


def test_a_doer_with_odd_facts_stays_inside_its_comment(lima):
    odd = "*/; DROP TABLE x; /* %s %(a)s ' | \n é"
    with deeds.told(deeds.Doer(lambda: 7, lambda: odd, from_where="", request_id=lambda: odd)):
        raw(lima)
    deed = latest("members_member")
    assert deed.who == 7
    assert set("*/%'|\n") & set(deed.what + deed.request_id) == set()


def test_without_a_doer_a_change_is_on_record_all_the_same(lima):
    raw(lima)
    deed = latest("members_member")
    assert (deed.kind, deed.who, deed.what, deed.from_where) == ("changed", None, "", None)


def test_the_innermost_doer_counts_and_the_outer_one_again_afterwards(lima, ana, bo):
    with deeds.by(ana.user, what="outer"):
        with deeds.by(bo.user, what="inner"):
            Member.objects.filter(pk=lima.pk).update(country="NL")
        Member.objects.filter(pk=lima.pk).update(country="FR")
    Member.objects.filter(pk=lima.pk).update(country="DE")
    third, second, first = Deed.objects.filter(about="members_member", kind="changed")
    assert [first.what, second.what, third.what] == ["inner", "outer", ""]


def test_a_rollback_takes_the_deed_along_with_the_change(lima, ana_at_work):
    with transaction.atomic():
        raw(lima)
        transaction.set_rollback(True)
    assert latest("members_member", kind="changed") is None
    with transaction.atomic():
        raw(lima)
    assert latest("members_member", kind="changed")


def test_reading_and_locking_are_left_as_they_are(lima, ana_at_work, django_assert_num_queries):
    with django_assert_num_queries(2) as taken:
        Member.objects.select_for_update().get(pk=lima.pk)
        Member.objects.filter(pk=lima.pk).update(country="FR")
    reading, writing = (query["sql"] for query in taken.captured_queries)
    assert reading.endswith("FOR UPDATE")
    assert "/*deed" not in reading
    assert "/*deed" in writing


# The record is only added to.


AS_A_REPLICA = "SET LOCAL session_replication_role = replica"
ATTEMPTS = {
    "by the ORM: change": lambda: Deed.objects.update(who=1),
    "by the ORM: save": lambda: Deed.objects.first().save(),
    "by the ORM: remove": lambda: Deed.objects.all().delete(),
    "by the ORM: remove one": lambda: Deed.objects.first().delete(),
    "raw: change": lambda: run("UPDATE aegir_support_deed SET at = now()"),
    "raw: change none": lambda: run("UPDATE aegir_support_deed SET at = now() WHERE false"),
    "raw: remove": lambda: run("DELETE FROM aegir_support_deed"),
    "raw: add and change": lambda: run(
        "INSERT INTO aegir_support_deed (id, kind, what, about, about_pk, request_id) "
        "SELECT id, kind, '', '', '', '' FROM aegir_support_deed LIMIT 1 ON CONFLICT (id) DO UPDATE SET what = 'x'"
    ),
    "raw: merge": lambda: run("MERGE INTO aegir_support_deed d USING (SELECT 1) one ON true WHEN MATCHED THEN DELETE"),
    "raw: empty": lambda: run("TRUNCATE aegir_support_deed"),
    "raw: empty with others": lambda: run("TRUNCATE members_member, aegir_support_deed CASCADE"),
    "as a replica: change": lambda: run(
        "SET LOCAL session_replication_role = replica; UPDATE aegir_support_deed SET who = 1"
    ),
    "as a replica: empty": lambda: run("SET LOCAL session_replication_role = replica; TRUNCATE aegir_support_deed"),
}


@pytest.fixture
def as_in_production(db):
    """With the triggers that tests take out of the way; the owner of the tables, who is a superuser here, asks."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE aegir_support_deed ENABLE ALWAYS TRIGGER deed_stays_when_emptied")
        cursor.execute("ALTER TABLE auth_group_permissions ENABLE TRIGGER deed_of_truncate")


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nobody_changes_removes_or_empties_the_record(lima, as_in_production, attempt):
    raw(lima)
    before = list(Deed.objects.values())
    assert before
    with pytest.raises(DatabaseError, match="only added to"), transaction.atomic():
        ATTEMPTS[attempt]()
    assert list(Deed.objects.values()) == before


def test_without_the_guard_it_could_be_changed(lima):
    """The control: the attempts above fail because of the triggers."""
    raw(lima)
    run("ALTER TABLE aegir_support_deed DISABLE TRIGGER USER")
    assert Deed.objects.update(what="rewritten")
    assert Deed.objects.all().delete()[0]
    run("TRUNCATE aegir_support_deed")


def test_emptying_a_table_is_on_record(as_in_production, ana_at_work, ana):
    run("TRUNCATE auth_group_permissions")
    deed = latest("auth_group_permissions")
    assert (deed.kind, deed.who) == ("emptied", ana.user.pk)


# Nothing is left out.


EXEMPT = {
    "aegir_support_deed": "the record itself",
    "aegir_support_outbox": "work to be told to others; each row's reason is a deed",
    "aegir_support_jobrun": "counts what jobs did; what they change is a deed",
    "aegir_support_alarm": "says when an alarm rang",
    "members_tally": "counts attempts",
    "members_usedcode": "codes of an app that cannot be used again",
    "usersessions_usersession": "where somebody is logged in, as sessions are",
    "django_admin_log": "the admin's own list of the same",
    "django_content_type": "made by migrations",
    "django_migrations": "made by migrations",
    "auth_permission": "made by migrations",
    "django_session": "comes and goes with log-in and log-out, which are deeds",
    "account_emailconfirmation": "not used: links are signed instead",
    "socialaccount_socialapp": "not used: providers are settings",
    "socialaccount_socialapp_sites": "not used",
    "socialaccount_socialtoken": "not used",
}


def test_every_table_is_on_record_or_exempt_for_a_reason():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, count(t.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname LIKE 'deed_of_%%' "
            "WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' GROUP BY 1",
            [],
        )
        triggers = dict(cursor.fetchall())
    assert {table for table, count in triggers.items() if count not in {0, 4}} == set()
    silent = {table for table, count in triggers.items() if not count}
    assert silent - set(EXEMPT) == set(), "record these (deeds.Recorded in a migration), or say here why not"
    assert {table for table in EXEMPT if triggers.get(table)} == set(), "on record after all"


def test_a_table_is_watched_by_one_key_and_columns_it_has():
    with pytest.raises(DatabaseError, match="no column of those"), transaction.atomic():
        run("SELECT deeds_watch('members_member', '{nothing}')")


def test_a_column_that_comes_later_is_hidden_until_the_table_is_recorded_again(lima):
    run("ALTER TABLE members_member ADD COLUMN shoe_size integer")
    run("UPDATE members_member SET shoe_size = 44 WHERE id = %s", [lima.pk])
    assert latest("members_member").changes == {"shoe_size": None}
    run("SELECT deeds_watch('members_member', '{kind}')")
    run("UPDATE members_member SET shoe_size = 45 WHERE id = %s", [lima.pk])
    assert latest("members_member").changes == {"shoe_size": [44, 45]}
