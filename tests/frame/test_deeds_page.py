"""The page of the record: who reads it, what it says in words, and how it is searched."""

import html
import re

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.urls import URLResolver, get_resolver, reverse

from aegir_support import deeds
from aegir_support.deeds_search import OFFERED
from aegir_support.deeds_words import PHRASES, what_in_words
from aegir_support.models import Deed
from members.models import Member
from tests.files.samples import kept
from tests.tickets.filing import file, offer_of
from tests.tickets.test_pages import queries, words
from tickets import actions, handout

pytestmark = pytest.mark.django_db
PAGE = reverse("deeds")


@pytest.fixture
def accepted(hal, ana):
    """Hal has filed a ticket, which Ana has accepted."""
    with deeds.by(hal.user, what="tickets:file_ticket"):
        ticket = file(hal)
    with deeds.by(ana.user, what="tickets:accept_offer"):
        return handout.accept(offer_of(ticket), ana)


@pytest.fixture
def read(browse, chloe):
    """What Chloé, who coordinates, reads where she asks for so much."""
    browser = browse(chloe)
    return lambda **asked: words(browser.get(PAGE, asked))


def test_it_tells_in_words_who_did_what(read, accepted):
    page = read(person="Ana Lima")
    offer = accepted.offers.get()
    assert "Ana Lima · accepted an offer" in page
    assert f"Changed offer #{offer.pk} of ticket #{accepted.number}" in page
    assert f"of ticket #{accepted.number} : outcome open → accepted" in page
    assert "Outcome open → accepted" in page
    assert f"Changed ticket #{accepted.number}" in page
    assert "status Looking for a member → In progress" in page
    assert "Assignee Ana Lima" in page


def test_what_the_record_hides_is_said_to_have_changed(read, hal):
    with deeds.by(hal.user, what="story"):
        ticket = file(hal, subject="Our secret subject")
    page = read(person="Hal")
    assert "Subject kept out of the record" in page
    assert "changed; the record" not in page
    type(ticket).objects.update(subject="Another secret")
    page = read(kind="changed")
    assert "Subject changed; the record does not say into what" in page
    assert "secret" not in page


def test_columns_that_only_the_program_reads_are_left_out(read, accepted, hal):
    actions.reply(accepted, hal.user, "See there.", files=[kept("note.txt", b"words")])
    page = read()
    for name in ["Html", "Key", "Filing key", "News at", "Sha256", "Is kept"]:
        assert f" {name} " not in page


# Of headings.


def views(patterns=None, space=""):
    for each in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(each, URLResolver):
            yield from views(each.url_patterns, space + (f"{each.namespace}:" if each.namespace else ""))
        elif each.name:
            yield space + each.name


PROBES_AND_DEMO = {"health", "ready", "metrics", "sent_mail"}


def test_every_address_has_its_phrase():
    of_ours = {name for name in views() if not name.startswith("admin:")} - PROBES_AND_DEMO
    assert of_ours - set(PHRASES) == set(), "say in deeds_words.py what somebody does there"
    assert {name for name in PHRASES if not name.startswith("demo:")} - set(views()) == set(), "gone"


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("mfa_authenticate", "gave the second factor"),
        ("admin:members_member_change", "changed in the set-up: member"),
        ("admin:mfa_authenticator_delete", "removed in the set-up: authenticator"),
        ("admin:aegir_support_outbox_changelist", "worked on the list “outbox” in the set-up"),
        ("admin:autocomplete", "worked in the set-up"),
        ("demo:solve", "solved a ticket"),
        ("demo:go_away", "went away"),
        ("tickets.tasks.sweep", "sweep the queue"),
        ("manage.py seed_demo", "manage.py seed_demo"),
        ("somewhere:quite_new", "quite new"),
        ("", ""),
    ],
)
def test_a_heading_is_a_phrase_or_else_the_name(what, told):
    assert what_in_words(what) == told


# Of second factors.


def test_a_second_factor_is_called_by_its_kind_and_its_use_is_no_change(read, ana):
    app = Authenticator.objects.create(user=ana.user, type="totp", data={})
    app.last_used_at = app.created_at
    app.save(update_fields=["last_used_at"])
    page = read(thing="mfa_authenticator")
    assert "Used authenticator app" in page
    assert "Added authenticator app" in page
    assert "Changed authenticator" not in page
    app.delete()
    assert "Removed authenticator app" in read(thing="mfa_authenticator")


# Of what was asked in vain.


def test_what_was_asked_for_in_vain_is_named_on_the_card(browse, chloe, read):
    browse(chloe).get("/tickets/99/")
    page = read(kind="not_theirs")
    assert "· tried in vain" in page
    assert "Asked for what is not there, or not theirs: ticket 99 (GET /tickets/99/)" in page


def test_one_attempt_after_the_other_is_one_card(browse, chloe, cleo, ana):
    for number in [97, 98, 99]:
        browse(cleo).get(f"/tickets/{number}/")
    browse(ana).get("/tickets/99/")
    groups = browse(chloe).get(PAGE, {"kind": "not_theirs"}).context["groups"]
    assert [group.times for group in groups] == [1, 3]
    assert "tried in vain · 3 times" in words(browse(chloe).get(PAGE, {"kind": "not_theirs"}))


def test_the_search_offers_what_its_readers_know_and_takes_what_a_link_asks(browse, chloe):
    browser = browse(chloe)
    offered = dict(browser.get(PAGE).context["search"].fields["thing"].choices)
    assert {"tickets_ticket", "members_member", "billing_client", "mfa_authenticator"} <= set(offered)
    assert not {"auth_group_permissions", "socialaccount_socialaccount", "members_calendarspan"} & set(offered)
    assert set(OFFERED) <= set(deeds.recorded_tables())
    assert browser.get(PAGE, {"thing": "auth_group_permissions"}).status_code == 200
    assert browser.get(PAGE, {"thing": "aegir_support_deed"}).status_code == 422


def test_a_number_alone_means_the_ticket(read, accepted):
    assert f"Added ticket #{accepted.number}" in read(key=str(accepted.number))


def test_the_page_names_the_zone_of_its_times(read, chloe):
    assert f"Times are those of {chloe.user.time_zone if hasattr(chloe, 'user') else chloe.time_zone}." in read()


def test_what_nobody_asked_for_was_the_system(read, lima):
    Member.objects.filter(pk=lima.pk).update(country="NL")
    assert "The system" in read(thing="members_member", kind="changed")


def test_a_ticket_comes_with_its_offers_messages_files_events_and_charge(read, accepted, hal):
    other = file(hal)
    actions.reply(accepted, hal.user, "See there.", files=[kept("note.txt", b"words")])
    page = read(thing="tickets_ticket", key=f"#{accepted.number}")
    for part in ["Added ticket #", "offer #", "message #", "attachment #", "event #", "Added charge #"]:
        assert part in page
    assert f"#{other.number}" not in page


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"person": "ana@"}, "Ana Lima"),
        ({"person": "LIMA"}, "Ana Lima"),
        ({"kind": "added"}, "Added ticket"),
        ({"thing": "tickets_offer"}, "offer #"),
        ({"since": "2020-01-01"}, "Ana Lima"),
        ({"until": "2999-01-01"}, "Ana Lima"),
        ({"place": "192.0.2.9"}, "from 192.0.2.9"),
        ({"request": "request-9"}, "from 192.0.2.9"),
    ],
)
def test_it_is_searched(read, accepted, ana, asked, found):
    with deeds.told(
        deeds.Doer(lambda: ana.user.pk, lambda: "there", from_where="192.0.2.9", request_id=lambda: "request-9")
    ):
        Member.objects.filter(pk=ana.member.pk).update(country="NL")
    assert found in read(**asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"person": "Nobody at all"},
        {"kind": "exported"},
        {"thing": "tickets_ticket", "key": "999999"},
        {"thing": "tickets_ticket", "key": "9" * 40},
        {"since": "2999-01-01"},
        {"until": "2020-01-01"},
        {"place": "192.0.2.99"},
        {"request": "none"},
    ],
)
def test_what_is_not_there_is_said_with_a_way_back(read, accepted, asked):
    page = read(**asked)
    assert "Nothing like that is on record" in page
    assert "Show everything" in page


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"since": "yesterday"}, "Enter a valid date."),
        ({"since": "2026-02-01", "until": "2026-01-01"}, "The last day is before the first."),
        ({"place": "here"}, "Enter a valid IPv4 or IPv6 address."),
        ({"kind": "sung"}, "Select a valid choice."),
        ({"person": "a\0b"}, "Null characters are not allowed."),
    ],
)
def test_bad_input_is_said_and_kept(browse, chloe, accepted, asked, said):
    answer = browse(chloe).get(PAGE, asked)
    assert answer.status_code == 422
    assert said in words(answer)
    assert "Ana Lima · accept" not in words(answer)


def test_an_older_page_goes_on_where_the_last_one_ended(browse, chloe, lima):
    for number in range(60):
        Member.objects.filter(pk=lima.pk).update(country=f"{number:02}")
    browser = browse(chloe)
    asked = {"thing": "members_member", "key": lima.pk, "kind": "changed"}
    newest = browser.get(PAGE, asked)
    older = browser.get(PAGE + newest.context["page"].older)
    second = older.context["page"]
    shown = [told.deed.pk for page in [newest, older] for group in page.context["groups"] for told in group.deeds]
    assert shown == sorted(shown, reverse=True)
    assert len(set(shown)) == 60
    assert (second.older, bool(second.newest)) == ("", True)
    assert browser.get(PAGE, {"before": "x" * 30}).status_code == 200


def test_one_row_costs_as_much_as_three(browse, chloe, lima, veldwerk, boreal):
    browser = browse(chloe)
    where = PAGE + "?thing=members_member&kind=changed"
    Member.objects.filter(pk=lima.pk).update(country="NO")
    one = queries(browser, where)
    Member.objects.update(country="SE")
    assert len(browser.get(where).context["groups"]) >= 3
    assert queries(browser, where) == one


def test_every_thing_on_the_page_leads_to_its_own_deeds(browse, chloe, accepted, hal, ana):
    actions.reply(accepted, hal.user, "See there.", files=[kept("note.txt", b"words")])
    ana.user.groups.add(Group.objects.create(name="Friends"))
    browser = browse(chloe)
    links = set(re.findall(r'href="(\?thing=[^"]+)"', browser.get(PAGE).content.decode()))
    led = {link.partition("&")[0].removeprefix("?thing="): browser.get(PAGE + html.unescape(link)) for link in links}
    assert {"aegir_support_storedfile", "auth_group", "members_user_groups", "tickets_attachment"} <= set(led)
    assert {answer.status_code for answer in led.values()} == {200}
    assert not any("Nothing like that" in words(answer) for answer in led.values())


def test_the_demo_says_that_its_week_was_told_at_once(read, accepted, settings):
    assert "when it was loaded" not in read()
    settings.DEMO = True
    assert "when it was loaded" in read()


def test_nothing_is_shown_as_markup(read, lima):
    with deeds.by(None, what="<b>x</b>"):
        Member.objects.filter(pk=lima.pk).update(country="NL")
    assert Deed.objects.first().what == "_b_x__b_"


def test_it_is_in_the_navigation_of_those_who_may_read_it(browse, chloe, finn, ana):
    for person, there in [(chloe, True), (finn, True), (ana, False)]:
        assert (f'href="{PAGE}"' in browse(person).get("/home/").content.decode()) is there
