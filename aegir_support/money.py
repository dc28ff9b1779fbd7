"""Money is a whole number of its currency's smallest unit (cents), and never travels without its currency."""

from collections.abc import Sequence

# ISO 4217: how many decimal places a currency has where it is not two.
_PLACES = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}

_SIGNS = {"EUR": "€", "GBP": "£", "USD": "US$", "CAD": "CA$", "AUD": "A$", "JPY": "JP¥"}
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def places(currency: str) -> int:
    """How many decimal places the currency is written with: 2 for USD, 0 for JPY, 3 for KWD."""
    return _PLACES.get(currency.upper(), 2)


def format_money(cents: int, currency: str) -> str:
    """Such as `€1,240.00`, `−US$5.50`, `JP¥900` or `CHF 80.00`: the same in pages, mails and files.

    "$" alone is the currency of two dozen countries, so a sign always says whose it is; most currencies use their code.
    """
    currency = currency.upper()
    digits = places(currency)
    whole, rest = divmod(abs(cents), 10**digits)
    fraction = f".{rest:0{digits}d}" if digits else ""
    minus = "\N{MINUS SIGN}" if cents < 0 else ""
    return f"{minus}{_SIGNS.get(currency, currency + NO_BREAK_SPACE)}{whole:,}{fraction}"


def split(cents: int, weights: Sequence[int]) -> list[int]:
    """Part an amount by weights so that the parts add up to it exactly (largest remainder).

    Each part is within one cent of its exact share. Left-over cents go to the largest remainders, earlier parts first
    among equals. A negative amount is parted as its positive twin, so a reversal takes back what was given.
    Raises ValueError where a weight is negative or all are zero.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValueError("An amount is split by weights that are not negative and not all zero.")
    sign = -1 if cents < 0 else 1
    shares = [divmod(abs(cents) * weight, total) for weight in weights]
    left_over = abs(cents) - sum(share for share, _ in shares)
    by_remainder = sorted(range(len(weights)), key=lambda index: -shares[index][1])
    favoured = set(by_remainder[:left_over])
    return [sign * (share + (index in favoured)) for index, (share, _) in enumerate(shares)]
