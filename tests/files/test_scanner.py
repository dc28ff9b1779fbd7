"""With a scanner nothing is served that it has not called clean, and nothing waits for ever."""

import contextlib
import io
import time
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from aegir_support import clamav, files, tasks
from aegir_support.models import StoredFile
from tests.files import clamd
from tests.files.hostile import EICAR
from tests.files.samples import kept, picture
from tickets import actions
from tickets.models import Attachment

pytestmark = pytest.mark.django_db

State = StoredFile.State


@pytest.fixture
def scanner(settings):
    with clamd.running() as scanner:
        settings.CLAMAV_ADDRESS = scanner.address
        yield scanner


def attach(ticket, by, *contents):
    return list(
        actions.reply(
            ticket, by.user, "See.", files=[kept(f"{n}.png", each) for n, each in enumerate(contents)]
        ).attachments.all()
    )


def later(seconds=90):
    return time_machine.travel(timezone.now() + timedelta(seconds=seconds), tick=True)


def statuses(browser, attachment):
    return [browser.get(f"/attachments/{attachment.pk}/{part}").status_code for part in ["", "picture/", "thumbnail/"]]


def test_a_file_is_served_once_it_is_called_clean(browse, hal, working, scanner):
    (attachment,) = attach(working, hal, picture())
    assert statuses(browse(hal), attachment) == [409, 404, 404]
    assert "Being checked" in browse(hal).get(f"/tickets/{working.number}/").content.decode()
    tasks.scan_files()
    assert statuses(browse(hal), attachment) == [200, 200, 200]


def test_an_infected_file_is_withheld_and_named(browse, hal, working, scanner):
    (attachment,) = attach(working, hal, b"MZ" + EICAR)
    tasks.scan_files()
    assert statuses(browse(hal), attachment) == [409, 404, 404]
    assert "Win.Test.EICAR_HDB-1" in browse(hal).get(f"/attachments/{attachment.pk}/").content.decode()
    page = browse(hal).get(f"/tickets/{working.number}/").content.decode()
    assert "Withheld: the virus scanner calls it Win.Test.EICAR_HDB-1." in page
    assert f'"/attachments/{attachment.pk}/"' not in page


@pytest.mark.parametrize("mood", ["garbage", "too large", "hanging"])
def test_while_the_scanner_is_not_well_nothing_is_served_and_then_all_is(
    browse, hal, working, scanner, monkeypatch, mood
):
    monkeypatch.setattr(clamav.name_of_infection, "__kwdefaults__", {"seconds": 0.5})
    attachments = attach(working, hal, picture(), b"words", b"more words")
    scanner.mood = mood
    for _ in range(3):
        assert files.scan_wanted() == 0
    assert {attachment.state for attachment in Attachment.objects.all()} == {State.PENDING}
    assert [statuses(browse(hal), each)[0] for each in attachments] == [409, 409, 409]
    scanner.mood = "well"
    with later():
        assert files.scan_wanted() == 3
    assert [statuses(browse(hal), each)[0] for each in attachments] == [200, 200, 200]


def test_while_the_scanner_is_away_nothing_is_served_and_then_all_is(browse, hal, working, scanner, settings):
    (attachment,) = attach(working, hal, picture())
    settings.CLAMAV_ADDRESS = "127.0.0.1:1"
    assert files.scan_wanted() == 0
    assert statuses(browse(hal), attachment) == [409, 404, 404]
    settings.CLAMAV_ADDRESS = scanner.address
    with later():
        assert files.scan_wanted() == 1
    assert statuses(browse(hal), attachment) == [200, 200, 200]


def test_one_file_that_the_scanner_chokes_on_holds_no_other_up(hal, working, scanner):
    first, second = attach(working, hal, b"chokes", b"fine")
    scanner.mood = "too large"
    files.scan_wanted()
    scanner.mood = "well"
    assert files.scan_wanted() == 1
    second.refresh_from_db()
    assert second.state == State.CLEAN
    assert Attachment.objects.get(pk=first.pk).state == State.PENDING


def test_a_scanner_that_hangs_is_given_up(scanner):
    scanner.mood = "hanging"
    started = time.monotonic()
    with pytest.raises(clamav.NoAnswer):
        clamav.name_of_infection(io.BytesIO(b"words"), scanner.address, seconds=0.3)
    assert time.monotonic() - started < 2


def test_a_large_file_arrives_whole(scanner):
    assert clamav.name_of_infection(io.BytesIO(bytes(1_000_000)), scanner.address) == ""
    assert clamav.name_of_infection(io.BytesIO(bytes(999_999) + EICAR), scanner.address) == "Win.Test.EICAR_HDB-1"


def test_the_scanner_may_be_a_socket_file(tmp_path):
    with pytest.raises(clamav.NoAnswer, match="No such file"):
        clamav.name_of_infection(io.BytesIO(b"words"), str(tmp_path / "clamd.ctl"))


def test_without_a_scanner_every_file_counts_as_clean(browse, hal, working):
    (attachment,) = attach(working, hal, picture())
    assert statuses(browse(hal), attachment) == [200, 200, 200]
    assert files.scan_wanted() == 0


def test_what_waited_for_a_scanner_that_is_switched_off_is_let_go(hal, working, scanner, settings):
    (attachment,) = attach(working, hal, picture())
    settings.CLAMAV_ADDRESS = ""
    files.scan_wanted()
    assert Attachment.objects.get(pk=attachment.pk).state == State.CLEAN


def test_who_sends_what_another_has_sent_waits_like_everybody(hal, iris, working, scanner):
    """Clean at once would tell that the file had been here; and the first sender keeps theirs meanwhile."""
    (first,) = attach(working, hal, picture())
    files.scan_wanted()
    (again,) = attach(working, hal, picture())
    assert again.file_id == first.file_id
    assert again.state == State.PENDING
    assert Attachment.objects.get(pk=first.pk).state == State.CLEAN
    files.scan_wanted()
    assert Attachment.objects.get(pk=again.pk).state == State.CLEAN


def test_sending_twice_does_not_tell_either_that_it_had_been_here(hal, iris, working, scanner):
    attach(working, hal, picture())
    files.scan_wanted()
    (once,) = attach(working, hal, picture())
    (twice,) = attach(working, hal, picture())
    assert [Attachment.objects.get(pk=each.pk).state for each in [once, twice]] == [State.PENDING, State.PENDING]
    assert files.scan_wanted() == 1
    assert [Attachment.objects.get(pk=each.pk).state for each in [once, twice]] == [State.CLEAN, State.CLEAN]


def test_who_sends_what_was_withheld_from_another_waits_as_well(hal, working, scanner):
    attach(working, hal, EICAR)
    files.scan_wanted()
    (again,) = attach(working, hal, EICAR)
    assert again.state == State.PENDING
    files.scan_wanted()
    assert Attachment.objects.get(pk=again.pk).is_withheld


@pytest.mark.parametrize("before", range(1, 4))
def test_wherever_a_run_is_killed_the_file_is_asked_about_again(hal, working, scanner, before):
    attach(working, hal, picture())
    writes = []

    def killed(execute, sql, params, many, context):
        writes.extend([sql] if sql.startswith("UPDATE") else [])
        if len(writes) == before:
            raise KeyboardInterrupt
        return execute(sql, params, many, context)

    with contextlib.suppress(KeyboardInterrupt), connection.execute_wrapper(killed):
        files.scan_wanted()
    with later():
        files.scan_wanted()
    assert StoredFile.objects.get().state == State.CLEAN


def test_what_a_younger_scanner_finds_is_withheld_from_the_first_sender_as_well(hal, working, settings):
    (first,) = attach(working, hal, EICAR)  # before there was a scanner
    assert first.state == State.CLEAN
    with clamd.running() as scanner:
        settings.CLAMAV_ADDRESS = scanner.address
        attach(working, hal, EICAR)
        files.scan_wanted()
    assert Attachment.objects.get(pk=first.pk).is_withheld
