import pytest

from aegir_support.embedded import Valkey
from tests.faults.mail_sink import mail_sink
from tests.faults.programs import Programs


@pytest.fixture
def broker(tmp_path):
    with Valkey(tmp_path / "broker") as valkey:
        yield valkey


@pytest.fixture
def sink():
    with mail_sink() as sink:
        yield sink


@pytest.fixture
def programs(tmp_path, broker, sink):
    programs = Programs(tmp_path, broker, sink)
    yield programs
    programs.stop()
