"""The catalogue is the cooperative's published prices, loaded once and never rewritten (B19)."""

import csv
import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from billing import catalogue
from billing.models import Pack, Price, Promise, Tier

DATA = Path(settings.BASE_DIR) / "data"


def rows(name):
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path):
    """A copy of the catalogue, to be changed."""
    for name in ["tiers.csv", "packs.csv", "prices.csv"]:
        shutil.copy(DATA / name, tmp_path)
    return tmp_path


def everything():
    return [list(model.objects.order_by("pk").values()) for model in [Tier, Promise, Pack, Price]]


def test_each_line_of_the_files_is_there(cast):
    assert [tier.code for tier in Tier.objects.on_sale()] == [row["code"] for row in rows("tiers.csv")]
    assert {pack.code for pack in Pack.objects.all()} == {row["code"] for row in rows("packs.csv")}
    for row in rows("prices.csv"):
        price = Price.objects.get(
            currency=row["currency"], **{"pack__code" if row["item"].startswith("pack") else "tier__code": row["item"]}
        )
        assert price.amount_cents == int(row["price_cents"]), row


def test_loading_again_changes_nothing(cast):
    before = everything()
    catalogue.load(DATA)
    call_command("load_catalogue")
    assert everything() == before


def test_a_changed_file_leaves_what_was_sold_alone(cast, folder):
    prices = (folder / "prices.csv").read_text()
    (folder / "prices.csv").write_text(prices.replace("basic,USD,24000", "basic,USD,1"))
    catalogue.load(folder)
    assert Price.objects.get(tier__code="basic", currency="USD").amount_cents == 24000


def test_a_new_line_adds_its_tier(cast, folder):
    with (folder / "tiers.csv").open("a") as file:
        file.write('\nsmall,Small,per_cpu,1,forum|portal,2bd,2bd,2bd,5bd,,1,"One ticket a year"\n')
    with (folder / "prices.csv").open("a") as file:
        file.write("\nsmall,EUR,9900\n")
    catalogue.load(folder)
    small = Tier.objects.get(code="small")
    assert (small.tickets_per_cpu, small.channels, small.version) == (1, ["forum", "portal"], 1)
    assert [str(promise) for promise in small.promises.all()] == [*["2 business days"] * 3, "5 business days"]
    assert [(price.currency, price.amount_cents) for price in small.prices.all()] == [("EUR", 9900)]


def test_a_new_version_stands_beside_the_one_a_term_was_bought_with(cast, riverbank):
    old = riverbank.subscriptions.get().tier
    Tier.objects.filter(pk=old.pk).update(on_sale=False)
    new = Tier.objects.create(
        code=old.code, version=2, name=old.name, price_basis=old.price_basis, tickets_per_cpu=8, channels=old.channels
    )
    assert Tier.objects.on_sale().get(code="standard") == new
    assert riverbank.subscriptions.get().tickets == 40


def test_unlimited_and_round_the_clock_are_read(cast):
    enterprise = Tier.objects.get(code="enterprise")
    assert (enterprise.is_unlimited, enterprise.round_the_clock_emergency) == (True, True)
    assert str(enterprise.promises.get(severity=1)) == "2 hours, day and night"


def test_a_promise_that_means_nothing_stops_the_loading_and_is_named(cast, folder):
    with (folder / "tiers.csv").open("a") as file:
        file.write('\nodd,Odd,per_cpu,1,forum,soon,2bd,2bd,5bd,,1,"?"\n')
    with pytest.raises(catalogue.CatalogueError, match="'soon'"):
        catalogue.load(folder)
    assert not Tier.objects.filter(code="odd").exists()
