"""The admin's page of what the jobs did: nothing of it is hidden, and a telephone scrolls the tables, not the page."""

import pytest
from django.utils import timezone

from aegir_support import jobs
from aegir_support.models import JobRun
from tests.browser.conftest import DESK, PHONE

pytestmark = pytest.mark.browser
PAGE = "/admin/aegir_support/jobrun/"
ERROR = "Not true in the data, and how often:\nEvery seat has one turn in the queue, and no two have the same. (3)"


@pytest.fixture
def ran(cast):
    now = timezone.now()
    JobRun.objects.create(job=jobs.INVARIANTS, slot=now, ran_at=now, seconds=62.5, failures=1, error=ERROR)


def test_every_column_stands_beside_the_filter(open_as, cast, ran):
    page = open_as(cast.finn, size=DESK)
    page.goto(PAGE)
    edge = page.locator("#changelist-filter").bounding_box()["x"]
    for column in ["took", "runs", "failures", "error"]:
        box = page.locator(f"td.field-{column}").bounding_box()
        assert box["x"] + box["width"] <= edge, column


def test_a_telephone_scrolls_the_tables_and_not_the_page(open_as, cast, ran):
    page = open_as(cast.finn, size=PHONE)
    page.goto(PAGE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
