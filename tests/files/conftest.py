import pytest

from tests.tickets.filing import file, offer_of
from tickets import handout


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path):
    """Each test has a storage of its own."""
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {**settings.PRIVATE_FOLDER, "OPTIONS": {"location": str(tmp_path / "files")}},
    }
    return tmp_path / "files"


@pytest.fixture
def working(hal, ana):
    """Hal's ticket, which Ana works on."""
    return handout.accept(offer_of(file(hal)), ana)
