"""Pages go on while the cache is away."""

import socket
import time

import pytest
from django.core.cache import caches

from aegir_support import cache as frame_cache
from aegir_support.demo import PASSWORD
from aegir_support.embedded import Valkey


@pytest.fixture(autouse=True)
def rested(monkeypatch):
    monkeypatch.setattr(frame_cache._Away, "quiet_until", 0.0)
    monkeypatch.setattr(frame_cache._Away, "complain_after", 0.0)


def use(settings, address):
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": address}}


@pytest.fixture
def valkey(tmp_path, settings):
    with Valkey(tmp_path) as server:
        use(settings, server.url)
        yield server


def log_in(browser, person, password=PASSWORD):
    return browser.post("/accounts/login/", {"login": person.user.email, "password": password})


@pytest.mark.processes
def test_people_log_in_while_the_cache_is_away_and_limits_count_on(browse, hal, settings, valkey, caplog):
    settings.RATE_LIMITS = True
    valkey.stop()
    browser = browse()
    assert log_in(browser, hal)["Location"] == "/home/"
    assert browser.get("/home/").status_code == 200
    for _ in range(10):
        assert log_in(browse(), hal, "wrong").status_code == 200
    assert log_in(browse(), hal).status_code == 429
    assert sum("cache away" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.processes
def test_everything_is_a_miss_while_the_cache_is_away(valkey):
    cache = caches["default"]
    cache.set("kept", 1)
    valkey.stop()
    assert cache.get("kept", "nothing") == "nothing"
    assert cache.get_many(["kept"]) == {}
    assert "kept" not in cache
    assert cache.add("lock", 1) is True
    assert cache.touch("kept") is cache.delete("kept") is cache.clear() is False
    assert cache.set_many({"kept": 2}) == []
    cache.delete_many(["kept"])
    with pytest.raises(ValueError, match="away"):
        cache.incr("kept")
    assert cache.get_or_set("kept", 3) == 3


@pytest.mark.processes
def test_the_cache_works_while_it_is_there(valkey):
    cache = caches["default"]
    assert cache.add("kept", 1)
    assert not cache.add("kept", 2)
    assert cache.incr("kept") == 2
    assert cache.get_many(["kept", "other"]) == {"kept": 2}
    assert cache.touch("kept")
    assert cache.delete("kept")


def test_a_cache_that_hangs_is_waited_for_once(settings, tmp_path):
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute.sock"))
        mute.listen()
        use(settings, f"unix://{tmp_path}/mute.sock?db=0")
        started = time.monotonic()
        for _ in range(10):
            assert caches["default"].get("kept") is None
        assert time.monotonic() - started < 10  # ten waits of two seconds would be twenty
