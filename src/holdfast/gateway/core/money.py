"""What usage costs, in integer nano-dollars: exact until the one rounding at the end, which is upwards.

A price is nano-dollars for a million tokens, so the sum of ``tokens * price`` is in units of 10**-15 dollars and exact;
a price with more than nine decimals (a few are thirds) was rounded up when it was read. Rounding once per attempt, and
up, means that a ledger never shows less than a provider's invoice, and hardly ever more than a nano-dollar above it.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Final

from holdfast.gateway.core.settings import PriceSettings
from holdfast.gateway.core.usage import NANO, Price, Usage

_MILLION: Final = 1_000_000


def cost(usage: Usage, price: Price) -> int:
    """Nano-dollars for what one attempt used; 0 or more.

    The parts of the input (read from the cache, written to it, heard) are taken out of it before the rest is charged,
    and never more of them than there is: a provider that reports more cached tokens than tokens is charged its parts.
    """
    price = tier(price, usage.input_tokens)
    read = max(0, usage.cache_read_tokens)
    write = max(0, usage.cache_write_tokens)
    long_write = max(0, usage.cache_write_long_tokens)
    heard = max(0, usage.audio_input_tokens)
    said = max(0, usage.audio_output_tokens)
    thought = max(0, usage.reasoning_tokens)
    if price.audio_input is None:
        heard = 0
    if price.audio_output is None:
        said = 0
    if price.reasoning is None:
        thought = 0
    total = (
        max(0, usage.input_tokens - read - write - long_write - heard) * price.input
        + read * _or(price.cache_read, price.input)
        + write * _or(price.cache_write, price.input)
        + long_write * _or(price.cache_write_long, _or(price.cache_write, price.input))
        + heard * _or(price.audio_input, price.input)
        + max(0, usage.output_tokens - said - thought) * price.output
        + said * _or(price.audio_output, price.output)
        + thought * _or(price.reasoning, price.output)
    )
    if price.per_million_characters is not None:
        total += max(0, usage.characters) * price.per_million_characters
    if price.per_image is not None:
        total += max(0, usage.images) * price.per_image * _MILLION
    if price.per_second is not None:
        total += max(0, round(usage.seconds * _MILLION)) * price.per_second
    total += price.per_request * _MILLION
    return -(-total // _MILLION)


def prices_all(usage: Usage, price: Price) -> bool:
    """Whether a price is known for all that was used: what nobody priced costs not nothing, but nobody knows what.

    Pictures and sound that were also counted in tokens are paid by tokens.
    """
    if usage.total_tokens:
        return True
    return not (
        (usage.images and price.per_image is None)
        or (usage.characters and price.per_million_characters is None)
        or (usage.seconds and price.per_second is None)
    )


def worst_case(input_tokens: int, max_output: int, price: Price, *, images: int = 0) -> int:
    """The most that an attempt of this size can cost: what is reserved for it. Nano-dollars.

    Nobody knows before the answer what of the input a cache will take or give, so the dearest rate holds for all of it.
    """
    price = tier(price, input_tokens)
    into = max(price.input, price.cache_write or 0, price.cache_write_long or 0, price.cache_read or 0)
    into = max(into, price.audio_input or 0)
    out = max(price.output, price.reasoning or 0, price.audio_output or 0)
    total = input_tokens * into + max_output * out + (price.per_request + images * (price.per_image or 0)) * _MILLION
    return -(-total // _MILLION)


def tier(price: Price, input_tokens: int) -> Price:
    """The price for an input of this length.

    All tokens cost what the tier says, not only those above its threshold: that is how the providers that have tiers
    charge (Google, Anthropic, OpenAI).
    """
    while price.long is not None and price.above is not None and input_tokens >= price.above:
        price = price.long
    return price


def nano(usd: float | str | Decimal) -> int:
    """Dollars as nano-dollars, rounded up from the tenth decimal on.

    A float counts as what it prints, not as the binary fraction beside it: 0.1 is 100,000,000. Raises ``ValueError``
    for what is negative or no number.
    """
    try:
        value = usd if isinstance(usd, Decimal) else Decimal(str(usd))
        if not value.is_finite() or value < 0:
            raise ValueError(f"{usd!r} is no amount of money: give dollars, 0 or more")
        return int((value * NANO).to_integral_value(ROUND_CEILING))
    except InvalidOperation:
        raise ValueError(f"{usd!r} is no amount of money: give dollars, 0 or more") from None


def usd(amount: int) -> str:
    """Nano-dollars as dollars, exactly, without zeros that say nothing: ``$0.000123``, ``$12.50``, ``-$1.00``."""
    whole, rest = divmod(abs(amount), NANO)
    digits = f"{rest:09d}".rstrip("0")
    return f"{'-' if amount < 0 else ''}${whole}.{digits:0<2}"


def configured(settings: PriceSettings) -> Price:
    """A price of the configuration. Raises ``ValueError`` for one that is negative."""
    return Price(
        input=nano(settings.input),
        output=nano(settings.output),
        cache_read=_maybe(settings.cache_read),
        cache_write=_maybe(settings.cache_write),
        cache_write_long=_maybe(settings.cache_write_long),
        per_image=_maybe(settings.per_image),
        per_request=nano(settings.per_request),
    )


def _maybe(value: float | None) -> int | None:
    return None if value is None else nano(value)


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
