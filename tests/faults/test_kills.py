"""Killed workers, whole process groups and beats lose nothing and double nothing.

Everything is real: PostgreSQL, Valkey, Celery's worker and beat, a web server, a mail server. SIGKILL leaves nobody
time to tidy up.
"""

import time

import pytest

from aegir_support import outbox
from billing.models import Grant
from tests.faults import naive
from tests.faults.day import (
    Chaos,
    Day,
    arrived,
    jobs_done,
    nothing_is_lost_or_doubled,
    repeated,
    settled,
    written,
)
from tests.faults.programs import wait_for
from tests.tickets.filing import file

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.processes,
    pytest.mark.usefixtures("without_nudges"),
]


@pytest.mark.parametrize(("jobs", "arrives"), [("aegir_support", True), ("tests.faults.careless", False)])
def test_a_mail_is_not_lost_with_its_sender(hal, programs, sink, jobs, arrives):
    """Marked before it is sent, as in `careless`, it would be."""
    file(hal)
    sink.greets.clear()
    worker = programs.worker(jobs)
    beat = programs.beat("tests.faults.hurried")
    assert wait_for(lambda: sink.visitors >= 1, seconds=30)
    worker.kill()
    sink.greets.set()
    sink.taken.clear()
    programs.worker("aegir_support")
    assert wait_for(settled, seconds=30)
    beat.kill()
    assert (set(arrived(sink)) == written()) is arrives


@pytest.mark.parametrize(
    ("jobs", "kills", "filings", "pause"),
    [(120, 5, 40, 0.3), pytest.param(1500, 25, 420, 0.35, marks=pytest.mark.long)],
)
def test_kills_lose_nothing_and_double_nothing(cast, programs, broker, sink, dice_seed, jobs, kills, filings, pause):
    Grant.objects.update(tickets=None)
    sink.slowness = 0.02  # so that most kills find a mail on its way
    chaos = Chaos(programs, broker, sink, seed=dice_seed)
    day = Day(cast, programs.web().port, filings=filings, pause=pause)
    with day:
        for number in range(kills):
            filed = filings * (number + 1) // kills
            wait_for(lambda filed=filed: len(day.keys) >= filed, seconds=60)  # so that kills are spread over the day
            chaos.kill()
        last_kill = time.monotonic()
        day.end()
        wait_for(settled, seconds=60)
        seconds = time.monotonic() - last_kill
    print(f"\nCHAOS_SEED={dice_seed}: {jobs_done()} jobs of {len(day.keys)} tickets, kills {dict(chaos.kills)}")
    print(f"settled {seconds:.1f} s after the last kill")
    print(f"{len(arrived(sink))} mails, {repeated(sink)} repeated; {dict(day.statuses)}")
    day.show()
    assert settled()
    assert seconds <= 60
    assert jobs_done() >= jobs
    nothing_is_lost_or_doubled(day, sink, breaks=kills)


@pytest.mark.parametrize(
    ("filings", "kills", "slowness"), [(20, 2, 0.3), pytest.param(750, 25, 0.1, marks=pytest.mark.long)]
)
def test_jobs_as_they_are_often_written_lose_or_double(
    cast, programs, broker, sink, dice_seed, monkeypatch, filings, kills, slowness
):
    """The same kills, no outbox: what was begun is gone, and what was only fetched comes back in an hour at best."""
    Grant.objects.update(tickets=None)
    monkeypatch.setattr(outbox, "put", naive.put)
    sink.slowness = slowness  # the work lasts longer than the kills, on a slow machine too
    for number in range(filings):
        file([cast.hal, cast.gita, cast.iris][number % 3])
    chaos = Chaos(programs, broker, sink, seed=dice_seed, jobs="tests.faults.naive", clock=None)
    for _ in range(kills):
        chaos.kill()
    _wait_until_quiet(sink)
    lost = len(written() - set(arrived(sink)))
    print(
        f"\nCHAOS_SEED={dice_seed}: {len(written())} mails, {dict(chaos.kills)}: {lost} lost, {repeated(sink)} doubled"
    )
    assert lost + repeated(sink) > 0


def _wait_until_quiet(sink):
    """Until the last worker has come up, and no mail has come for five seconds."""
    so_far = len(sink.taken)
    wait_for(lambda: len(sink.taken) > so_far, seconds=15)
    while wait_for(lambda so_far=so_far: len(sink.taken) > so_far, seconds=5):
        so_far = len(sink.taken)
