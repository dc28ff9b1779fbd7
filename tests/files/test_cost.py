"""No file costs more than 256 MB and 5 seconds, whatever it unfolds into (G20)."""

import json
import subprocess
import sys

import pytest

from tests.files import hostile
from tests.races import elsewhere

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

MOST_MB, MOST_SECONDS = 256, 5


@pytest.fixture(scope="session")
def bombs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    for name, content in hostile.bombs():
        (folder / name).write_bytes(content)
    return folder


def measure(folder, own_folder, *how):
    env = elsewhere.environment(FILES_DIR=str(own_folder), DJANGO_SETTINGS_MODULE="aegir_support.settings")
    words = [sys.executable, "-m", "tests.files.measure", str(folder), *how]
    done = subprocess.run(words, env=env, cwd=elsewhere.here(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def too_dear(costs):
    return {name: cost for name, cost in costs.items() if cost["mb"] > MOST_MB or cost["seconds"] > MOST_SECONDS}


def test_no_file_costs_too_much(bombs, own_folder):
    costs = measure(bombs, own_folder)
    print(json.dumps(costs, indent=1))
    assert set(costs) == {path.name for path in bombs.iterdir()}
    assert too_dear(costs) == {}
    drawn = {name for name, cost in costs.items() if cost["picture"] is True}
    shown = {
        "film.gif",
        "largest.png",
        "deepest.png",
        "largest.webp",
        "largest.jpg",
        "photo.jpg",
        "comment.png",
    }
    assert drawn == shown
    assert {cost["picture"] for cost in costs.values()} == {True, False}


def test_the_same_files_opened_without_care_do(bombs, own_folder):
    """The control: an ordinary thumbnailer dies of the two bombs."""
    assert {"huge.png", "film.gif"} <= set(too_dear(measure(bombs, own_folder, "naive")))
