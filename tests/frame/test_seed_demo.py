from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from aegir_support import demo
from aegir_support.demo_telling import clock_at, words
from aegir_support.models import Deed, Outbox
from billing.models import Charge
from members.models import User
from tickets.models import Event, Message, Offer, Ticket

Kind, Status, Verdict, Outcome = Event.Kind, Ticket.Status, Ticket.Verdict, Offer.Outcome

# A Tuesday noon, and what could be awkward: a weekend's night, a change of the clocks, an office that has just closed,
# new year.
MOMENTS = [
    datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
    datetime(2026, 11, 29, 3, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 6, 10, tzinfo=UTC),
    datetime(2026, 11, 27, 22, 1, tzinfo=UTC),
    datetime(2027, 1, 1, 0, 0, tzinfo=UTC),
]
SPREAD = [(Event, "at"), (Message, "at"), (Offer, "offered_at"), (Ticket, "filed_at"), (Charge, "held_at")]


@pytest.fixture
def empty(db):
    """A database that has only its migrations: the cast that the other tests share is put aside for this one."""
    empty_the_database()


def empty_the_database():
    apps_of_ours = ["members", "billing", "tickets", "referrals", "aegir_support"]
    tables = [model._meta.db_table for app in apps_of_ours for model in apps.get_app_config(app).get_models()]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")


@pytest.fixture
def week(empty):
    call_command("seed_demo")


def tale():
    """What the week comes to, without its times."""
    return [
        (
            ticket.number,
            ticket.subject,
            ticket.status,
            ticket.verdict,
            str(ticket.assignee),
            [(offer.member.name, offer.kind, offer.outcome) for offer in ticket.offers.all()],
            [(event.kind, str(event.actor)) for event in ticket.events.all()],
        )
        for ticket in Ticket.objects.order_by("number")
    ]


def test_it_shows_tickets_in_every_state_a_week_can_end_in(week):
    assert set(Ticket.objects.values_list("status", flat=True)) == set(Status.values) - {Status.WAITING}


def test_it_shows_every_kind_of_answer_verdict_and_turn_of_events(week):
    reasons = set(Charge.objects.filter(state="released").values_list("reason", flat=True))
    kinds = set(Event.objects.values_list("kind", flat=True))
    assert set(Offer.objects.values_list("outcome", flat=True)) == set(Outcome.values)
    assert set(Charge.objects.values_list("state", flat=True)) == set(Charge.State.values)
    assert reasons == {Verdict.QUESTION, Verdict.OUT_OF_SCOPE, Verdict.DEFECT, Verdict.WITHDRAWN}
    assert {Kind.WAITING, Kind.NOTED, Kind.REOPENED, Kind.CALL_OPENED, Kind.HANDED_OVER} <= kinds


def test_each_member_has_one_offer_with_time_left(week):
    members = [offer.member.name for offer in Offer.objects.open().filter(answer_by__gt=timezone.now())]
    assert sorted(members) == ["Ana Lima", "Atelier Boréal", "Veldwerk"]


def test_the_newest_offer_has_just_arrived(week):
    newest = Offer.objects.open().latest("offered_at")
    assert timedelta(minutes=1) < timezone.now() - newest.offered_at < timedelta(minutes=5)


def test_what_happened_is_spread_over_the_week_before(week):
    now = timezone.now()
    for model, field in [*SPREAD, (Outbox, "created_at")]:
        moments = list(model.objects.values_list(field, flat=True))
        assert now - timedelta(days=7) < min(moments) < now - timedelta(days=6), model
        assert max(moments) <= now, model
        assert len({moment.date() for moment in moments}) >= 6, model


def test_nothing_happens_to_a_ticket_before_it_is_filed_or_out_of_order(week):
    for ticket in Ticket.objects.all():
        moments = [event.at for event in ticket.events.order_by("pk")]
        assert moments == sorted(moments)
        assert moments[0] == ticket.filed_at


def test_its_mails_are_delivered(week):
    assert Outbox.objects.exists()
    assert not Outbox.objects.waiting().exists()
    assert not Outbox.objects.parked().exists()


def test_everybody_can_log_in_with_the_password_that_is_told(week):
    for email, _who in demo.LOGINS:
        assert User.objects.get(email=email).check_password(demo.PASSWORD), email


def test_again_it_changes_nothing_and_says_so(week, capsys):
    before = tale()
    call_command("seed_demo")
    assert "here already" in capsys.readouterr().out
    assert tale() == before


def test_a_demo_that_has_been_used_is_still_its_own(week, capsys):
    User.objects.create_user("kim@riverbank.example", name="Kim Rao")
    call_command("seed_demo")
    assert "here already" in capsys.readouterr().out


def test_it_does_not_load_into_a_database_with_other_people(empty):
    User.objects.create_user("somebody@elsewhere.example", name="Somebody Else")
    with pytest.raises(CommandError, match="not the demo's"):
        call_command("seed_demo")
    assert User.objects.count() == 1


def test_it_does_not_run_where_people_work(empty, settings):
    settings.DEMO, settings.DEPLOYMENT = False, "production"
    with pytest.raises(CommandError, match="only a demo"):
        call_command("seed_demo")
    assert not User.objects.exists()


def test_the_week_is_the_same_whenever_it_is_told(empty):
    told = {moment: tale_told_at(moment) for moment in MOMENTS}
    for moment in MOMENTS:
        assert told[moment] == told[MOMENTS[0]], moment


def tale_told_at(moment):
    empty_the_database()
    with time_machine.travel(moment, tick=False):
        call_command("seed_demo")
    assert Offer.objects.open().filter(answer_by__gt=moment).count() == 3
    return tale()


def test_the_story_has_its_own_time_in_model_defaults_too(db):
    moment = datetime(2020, 5, 17, 12, 0, tzinfo=UTC)
    with clock_at(moment):
        assert timezone.now() == moment
        assert timezone.localtime(moment).date() == moment.date()
        user = User.objects.create_user("past@elsewhere.example", name="Past")
    assert user.date_joined == moment
    assert timezone.now() > moment


def test_the_clock_goes_right_again_after_a_failure():
    with pytest.raises(RuntimeError), clock_at(datetime(2020, 5, 17, tzinfo=UTC)):
        raise RuntimeError
    assert timezone.now().year > 2020


def test_words_lose_the_line_breaks_of_their_paragraphs_and_keep_those_of_code():
    assert (
        words("""
        one
        two

        ```
        three
        four
        ```
    """)
        == "one two\n\n```\nthree\nfour\n```"
    )


def test_the_record_of_deeds_names_who_did_it(week):
    told = Deed.objects.filter(what__startswith="demo:", kind__in=["added", "changed"])
    doers = User.objects.filter(pk__in=told.values("who")).values_list("name", flat=True)
    assert {"Ana Lima", "Bo Maas", "Denis Roy", "Hal Brook"} <= set(doers)
    answers = Deed.objects.filter(about="tickets_offer", kind="changed")
    assert set(answers.filter(who=None).values_list("what", flat=True)) == {"tickets.tasks.sweep"}
    assert set(answers.exclude(who=None).values_list("what", flat=True)) >= {"demo:accept", "demo:refuse"}
