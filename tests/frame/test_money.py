import random
from fractions import Fraction

import pytest

from aegir_support import money


@pytest.mark.parametrize(
    ("cents", "currency", "words"),
    [
        (24000, "USD", "US$240.00"),
        (124000, "usd", "US$1,240.00"),
        (-550, "EUR", "−€5.50"),
        (-5, "EUR", "−€0.05"),
        (0, "EUR", "€0.00"),
        (1_234_567_890, "CAD", "CA$12,345,678.90"),
        (900, "JPY", "JP¥900"),
        (1500, "KWD", "KWD\N{NO-BREAK SPACE}1.500"),
    ],
)
def test_an_amount_is_shown_with_its_currency(cents, currency, words):
    assert money.format_money(cents, currency) == words


@pytest.mark.parametrize(
    ("cents", "weights", "parts"),
    [
        (10_000, [70, 20, 10], [7_000, 2_000, 1_000]),
        (101, [70, 20, 10], [71, 20, 10]),
        (1, [1, 1, 1], [1, 0, 0]),
        (2, [1, 1, 1], [1, 1, 0]),
        (100, [1, 1, 1], [34, 33, 33]),
        (5, [0, 1], [0, 5]),
        (0, [3, 4], [0, 0]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (7, [5], [7]),
    ],
)
def test_an_amount_is_split_by_largest_remainder(cents, weights, parts):
    assert money.split(cents, weights) == parts


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [3, -1]])
def test_weights_that_divide_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        money.split(100, weights)


def test_parts_always_add_up_and_are_within_a_cent_of_fair():
    dice = random.Random(20)
    for _ in range(3_000):
        cents = dice.randrange(-(10 ** dice.randrange(1, 14)), 10 ** dice.randrange(1, 14))
        weights = [dice.choice([0, 1, 7, dice.randrange(10_000)]) for _ in range(dice.randrange(1, 9))] + [1]
        parts = money.split(cents, weights)
        assert sum(parts) == cents
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - Fraction(cents * weight, sum(weights))) < 1
            assert weight or part == 0


def test_a_reversal_takes_back_exactly_what_was_given():
    dice = random.Random(21)
    for _ in range(1_000):
        cents, weights = dice.randrange(10**9), [dice.randrange(1, 99) for _ in range(5)]
        assert money.split(-cents, weights) == [-part for part in money.split(cents, weights)]
