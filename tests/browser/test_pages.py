"""Every page, as everybody who may read it: axe finds nothing, nothing breaks the content policy, nothing overflows."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import DESK, PHONE
from tests.test_access import ROLES, example, table

pytestmark = pytest.mark.browser

NOT_PAGES = ("-/", "attachments/", "accounts/2fa/recovery-codes/download/", "queue/offers/")
# Django's own admin: drawn and checked for the lists and forms of our first models only, since its pages are Django's.
ADMIN = ("admin/", "admin/members/member/", "admin/billing/tier/", "admin/billing/tier/<path:object_id>/change/")


def pages_of(role):
    place = ROLES.index(role)
    for address, rows in sorted(table().items()):
        if rows["GET"][place] == 200 and _is_looked_at(address, role):
            yield address


def _is_looked_at(address, role):
    if address.startswith("admin/"):
        return address in ADMIN
    if address.startswith("accounts/"):
        return role in {"visitor", "cleo"}  # they are the same for everybody
    return not address.startswith(NOT_PAGES)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("dark", "size"), [(False, DESK), (True, PHONE)], ids=["desk, light", "phone, dark"])
def test_every_page_is_fit_to_read(open_as, cast, scene, role, dark, size):
    page = open_as(None if role == "visitor" else getattr(cast, role), dark=dark, size=size)
    axe, faults = Axe(), []
    for address in pages_of(role):
        page.goto(example(address, scene))
        faults += [f"{address}: {complaint}" for complaint in page.complaints]
        found = axe.run(page).response["violations"]
        faults += [f"{address}: {each['id']} {[node['target'] for node in each['nodes']][:3]}" for each in found]
        if not address.startswith("admin/") and page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            faults.append(f"{address}: wider than the screen")
        page.complaints.clear()  # axe itself tries to write inline styles
    assert faults == []
