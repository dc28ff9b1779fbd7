"""What was answered "saved" is saved, once, whatever is killed meanwhile (G6)."""

import json
import random
import time
from collections import Counter

import pytest

from billing.models import Grant
from tests.faults.programs import Person, Programs, answers, children_of, kill_children, wait_for
from tests.faults.writers import AWAY, Saved, Writers
from tests.races.elsewhere import environment

pytestmark = pytest.mark.processes
CAREFUL, CARELESS = 6, 2


@pytest.fixture
def elsewhere(tmp_path, broker, sink, postgres):
    """The programs, on a PostgreSQL that may be killed."""
    programs = Programs(tmp_path / "programs", broker, sink, DATABASE_URL=postgres.url)
    yield programs
    programs.stop()


def show(title, forms, saved):
    """Figures for whoever runs it with -s."""
    print(f"\n{title}")
    for name, keyed in [("with a key", True), ("typed again", False)]:
        some = [form for form in forms if form.keyed is keyed]
        told = Counter(status for form in some for status in form.answers)
        acknowledged = sum(bool(form.acknowledged_at) for form in some)
        print(
            f"{name}: {len(some)} forms, {acknowledged} acknowledged, {dict(told)}; "
            f"{len(saved.missing(some))} missing, {len(saved.doubled(some))} doubled"
        )


def rude(refusals):
    """Those that do not say: nothing is wrong with you, come again in so many seconds."""
    return [answer for answer in refusals if answer.status != AWAY or not answer.headers["retry-after"]]


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.long)])
def test_a_killed_database_forgets_nothing_it_has_acknowledged(elsewhere, postgres, dice_seed, kills):
    sessions = json.loads(elsewhere.run("-m", "tests.faults.ground"))
    web = elsewhere.web()
    dice = random.Random(dice_seed)
    back = []
    with Writers(list(sessions.values()), web.port, careful=CAREFUL, careless=CARELESS, seed=dice_seed) as writers:
        for _ in range(kills):
            time.sleep(dice.uniform(0.5, 1.5))
            postgres.kill()
            time.sleep(dice.uniform(0.2, 1))
            postgres.start()
            up, up_at = time.monotonic(), time.time()
            assert wait_for(lambda moment=up_at: writers.acknowledged_since(moment), seconds=30)
            back.append(time.monotonic() - up)
        is_same_web = web.is_running
    saved = Saved(postgres.url)
    show(f"CHAOS_SEED={dice_seed}: {kills} kills of PostgreSQL", writers.forms, saved)
    print(f"back after {sum(back) / len(back):.1f} s, at worst {max(back):.1f} s")
    assert saved.missing(writers.forms) == []
    assert saved.doubled([form for form in writers.forms if form.keyed]) == []
    assert saved.doubled(writers.forms), "whoever types it again has it twice"
    assert saved.broken == []
    assert writers.refusals, "nobody noticed that it was away"
    assert rude(writers.refusals) == []
    assert max(back) <= 10
    assert is_same_web


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("posts", [60, pytest.param(500, marks=pytest.mark.long)])
def test_killed_web_workers_forget_nothing_they_have_acknowledged(cast, programs, dice_seed, posts):
    Grant.objects.update(tickets=None)
    web = programs.web(workers=2)
    sessions = [Person.of(who, web.port).session for who in [cast.hal, cast.gita, cast.iris]]
    dice = random.Random(dice_seed)
    kills, ends = 0, 0
    with Writers(sessions, web.port, careful=CAREFUL, careless=CARELESS, seed=dice_seed) as writers:
        while writers.acknowledged() < posts or kills < 2:
            enough = writers.acknowledged() + dice.randrange(10, 20)
            assert wait_for(lambda enough=enough: writers.acknowledged() >= enough, seconds=60)
            kills += kill_children(web, most=dice.choice([1, 2]))
            if wait_for(lambda web=web: not web.is_running, seconds=0.5):
                ends += 1
                web.kill()  # and what it left
                web = programs.web(workers=2, port=web.port)
        assert wait_for(lambda: answers(web.port), seconds=30)
    saved = Saved(environment()["DATABASE_URL"])
    show(f"CHAOS_SEED={dice_seed}: {kills} kills of web workers", writers.forms, saved)
    print(f"{ends} times the server gave up and was started again")
    assert saved.missing(writers.forms) == []
    assert saved.doubled([form for form in writers.forms if form.keyed]) == []
    assert saved.doubled(writers.forms), "whoever types it again has it twice"
    assert saved.broken == []
    assert rude(writers.refusals) == []
    assert wait_for(lambda: len(children_of(web)) == 2, seconds=20)
