"""What Prometheus is told: requests as they are answered, and the state of things when it asks.

The numbers name routes, never paths, and no person: whoever scrapes them may not be somebody who may read.

A web server answers with several processes, and a scrape reaches one of them. So each process keeps its counts in a
file of a folder they share, and the one that is asked adds them up (docs/decisions/0010-watching.md).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path

import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

# What a scrape may take of the database: a question that is slower than this is a finding by itself.
SECONDS_PER_QUESTION = 1
SECONDS_IN_ALL = 4
# Space that each process takes on the disk at once. A file that grew on a full disk would end the process.
FILE_BYTES = {"counter": 2**20, "histogram": 2**21, "gauge_sum": 2**16}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Only ours: the client's own registry would add what it knows of this one process.
_counted = CollectorRegistry()
_requests = Counter("support_requests", "Requests answered.", ["route", "method", "status"], registry=_counted)
_seconds = Histogram(
    "support_request_seconds",
    "Time to answer, in seconds.",
    ["route", "method"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    registry=_counted,
)
_pool = Gauge(
    "support_database_pool",
    "Connections the web processes hold, those of them at rest, and requests that wait for one.",
    ["state"],
    registry=_counted,
    multiprocess_mode="sum",
)

Reader = Callable[[], Iterable[Metric]]
_readers: list[Reader] = []


def count_request(*, route: str, method: str, status: int, seconds: float) -> None:
    """Count an answered request under its route. Whoever makes up methods or addresses makes up no new numbers."""
    known = method if method in METHODS else "other"
    _requests.labels(route, known, f"{status // 100}xx").inc()
    _seconds.labels(route, known).observe(seconds)


def count_pool() -> None:
    """Note how many connections this process holds; the watchdog calls it."""
    pool = getattr(connection, "pool", None)
    if pool is None:
        return
    stats = pool.get_stats()
    _pool.labels("held").set(stats.get("pool_size", 0))
    _pool.labels("at_rest").set(stats.get("pool_available", 0))
    _pool.labels("waited_for").set(stats.get("requests_waiting", 0))


# The state of things, asked when Prometheus asks


def add(reader: Reader) -> None:
    """Have these numbers read at each scrape. An app adds its own in its AppConfig.ready.

    They are read one reader after the other in a transaction that reads only, each question within a second.
    """
    _readers.append(reader)


def gauge(name: str, meaning: str, value: float | Mapping[str, float], *, label: str = "") -> Metric:
    """One number, or one for each value of `label`, such as `{"mail": 3}`. The values of a label must be few."""
    family = GaugeMetricFamily(name, meaning, labels=[label] if label else [])
    for key, number in value.items() if isinstance(value, Mapping) else [("", value)]:
        family.add_metric([key] if label else [], number)
    return family


class _State(Collector):
    def collect(self) -> Iterator[Metric]:
        started = time.monotonic()
        read: list[Metric] = []
        complete = True
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION READ ONLY")
                    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{SECONDS_PER_QUESTION}s"])
                for reader in _readers:
                    if time.monotonic() - started > SECONDS_IN_ALL:
                        complete = False
                        break
                    read += reader()
        except Error as error:
            # A scrape that fails would look like a web server that is down, and it is not.
            log.warning("database away or too busy for the metrics", error=type(error).__name__)
            complete = False
        yield gauge("support_up", "1 where the database answered every question below in time.", float(complete))
        yield gauge("support_build_info", "What runs.", {settings.RELEASE: 1}, label="release")
        yield from read


_state = CollectorRegistry()
_state.register(_State())


@login_not_required
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers, for who sends `Authorization: Bearer <METRICS_TOKEN>`. Nobody else learns that the page is there."""
    if not _may_read(request) or request.method not in {"GET", "HEAD"}:
        raise Http404
    return HttpResponse(generate_latest(_counts()) + generate_latest(_state), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _may_read(request: HttpRequest) -> bool:
    scheme, _space, sent = request.headers.get("Authorization", "").partition(" ")
    expected: str = settings.METRICS_TOKEN
    return (
        bool(expected)
        and scheme.lower() == "bearer"
        and secrets.compare_digest(sent.strip().encode(errors="replace"), expected.encode())
    )


# Counting together


class _Share:
    """The folder of this web server, and the lock that says which of its files is ours. Nothing outside of one."""

    folder: Path | None = None
    lock: TextIOWrapper | None = None


def share_between_processes() -> None:
    """Count into the folder of this web server from now on. Before the first request, once for each process.

    A process takes the first place whose lock is free, so one that was started again goes on counting where its
    forerunner died: sums never fall, and there are as many files as processes. What other servers left is removed.
    """
    try:
        _take_place(Path(settings.METRICS_DIR or Path(tempfile.gettempdir()) / f"support-metrics-{os.getuid()}"))
    except OSError as error:
        log.warning("web processes count apart, metrics come from one of them", error=str(error))


def _take_place(base: Path) -> None:
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = base.lstat()
    if found.st_uid != os.getuid() or base.is_symlink():
        raise PermissionError(f"{base} belongs to somebody else.")
    # All processes of a web server have the same parent, and nothing else in common.
    own = base / str(os.getppid())
    with (base / "lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        for folder in base.iterdir():
            if folder.is_dir() and folder != own and not _is_alive(folder):
                shutil.rmtree(folder, ignore_errors=True)
        own.mkdir(exist_ok=True)
        place, lock = _first_free(own)
    for kind, size in FILE_BYTES.items():
        _reserve(own / f"{kind}_{place}.db", size)
    _Share.folder, _Share.lock = own, lock
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(own)
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: place)  # type: ignore[no-untyped-call]


def _is_alive(folder: Path) -> bool:
    return any(_lock(path) is None for path in folder.glob("*.lock"))


def _first_free(folder: Path) -> tuple[int, TextIOWrapper]:
    place = 0
    while (lock := _lock(folder / f"{place}.lock")) is None:
        place += 1
    return place, lock


def _lock(path: Path) -> TextIOWrapper | None:
    """The open file, locked for as long as it is kept; None where another process holds it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _reserve(path: Path, size: int) -> None:
    with path.open("ab") as file:
        if file.tell() < size:
            os.posix_fallocate(file.fileno(), 0, size)


def _counts() -> CollectorRegistry:
    if _Share.folder is None:
        return _counted
    together = CollectorRegistry()
    MultiProcessCollector(together, path=str(_Share.folder))  # type: ignore[no-untyped-call]
    return together
