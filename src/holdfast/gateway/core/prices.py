"""What models cost, as ``genai-prices`` tells it: which entry a model's name means, and which price holds when.

The package's data comes as plain values (:mod:`holdfast.gateway.shell.ledger.catalogue` reads them), and its rules are
followed here: a provider by id, then by its own rule; a model by the first entry whose rule matches the lower-cased
name, then by the entries of providers whose models it resells; of several prices the last one that is active; a tier
holds for all tokens once the input is *longer* than where it starts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from holdfast.gateway.core.money import nano
from holdfast.gateway.core.usage import Price

_COMPACT_DATE: Final = re.compile(r"-(20\d\d)([01]\d)([0-3]\d)$")
_PLACES: Final[Mapping[str, tuple[str, int]]] = {
    "input_mtok": ("input", 1),
    "output_mtok": ("output", 1),
    "cache_read_mtok": ("cache_read", 1),
    "cache_write_mtok": ("cache_write", 1),
    "cache_write_1h_mtok": ("cache_write_long", 1),
    "output_reasoning_mtok": ("reasoning", 1),
    "input_audio_mtok": ("audio_input", 1),
    "output_audio_mtok": ("audio_output", 1),
    "input_mchars": ("per_million_characters", 1),
    "requests_kcount": ("per_request", 1000),
    "audio_hours": ("per_second", 3600),
    "input_audio_hours": ("per_second", 3600),
}
"""Name in the data -> field of :class:`Price`, and for how many of its units the data's figure is."""


@dataclass(frozen=True, slots=True)
class Dated:
    """A price, and when it holds: from a day on, or between two times of each day. UTC."""

    price: Price
    starts: date | None = None
    between: tuple[time, time] | None = None

    def active(self, moment: datetime) -> bool:
        """Whether it holds now. An interval that ends before it starts goes over midnight."""
        if self.starts is not None and moment.date() < self.starts:
            return False
        if self.between is None:
            return True
        start, end = self.between
        at = moment.time()
        return start <= at < end if start <= end else at >= start or at < end


@dataclass(frozen=True, slots=True)
class Tariff:
    """All prices of a model, the later ones before the earlier."""

    dated: tuple[Dated, ...]

    def at(self, wall: float) -> Price:
        """The price at a moment: of those that are active the last one, else the first one there is."""
        if len(self.dated) == 1:
            return self.dated[0].price
        moment = datetime.fromtimestamp(wall, UTC)
        for dated in reversed(self.dated):
            if dated.active(moment):
                return dated.price
        return self.dated[0].price

    @classmethod
    def fixed(cls, price: Price) -> Tariff:
        """One price for all times."""
        return cls((Dated(price),))


class _Provider(msgspec.Struct, kw_only=True):
    """What is known of a provider. A gateway asks for a few of thousands of models, once: they stay as they came."""

    id: str
    provider_match: dict[str, Any] | None = None
    fallback_model_providers: list[str] | None = None
    models: msgspec.Raw = msgspec.Raw(b"[]")


_PROVIDERS: Final = msgspec.json.Decoder(list[_Provider])
_MODELS: Final = msgspec.json.Decoder(list[dict[str, Any]])


class Catalogue:
    """Providers, their models and prices."""

    def __init__(self, data: bytes, version: str) -> None:
        """``data`` as the reader gives it; ``version`` of the package, for :attr:`Price.source`.

        Raises ``msgspec.MsgspecError`` for what is no such data.
        """
        self.version = version
        self._providers = {provider.id: provider for provider in _PROVIDERS.decode(data)}

    def tariff(self, provider: str, model: str) -> Tariff | None:
        """What a provider (by its id or a name of it) takes for a model; ``None`` when nobody knows."""
        found = self._provider(provider.lower().strip())
        if found is None:
            return None
        name = model.lower()
        compact = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        entries = self._entries(found)
        for each in dict.fromkeys((name, compact)):
            for entry in entries:
                if matches(entry["match"], each):
                    return self._read(found.id, entry)
        return None

    def _provider(self, name: str) -> _Provider | None:
        if name in self._providers:
            return self._providers[name]
        ruled = (provider for provider in self._providers.values() if provider.provider_match)
        return next((provider for provider in ruled if matches(provider.provider_match or {}, name)), None)

    def _entries(self, provider: _Provider) -> Sequence[Mapping[str, Any]]:
        entries = _MODELS.decode(provider.models)
        for name in provider.fallback_model_providers or ():
            if name in self._providers:
                entries += _MODELS.decode(self._providers[name].models)
        return entries

    def _read(self, provider: str, entry: Mapping[str, Any]) -> Tariff | None:
        source = f"genai-prices {self.version} {provider}/{entry['id']}"
        prices = entry["prices"]
        if isinstance(prices, Mapping):
            prices = [{"prices": prices}]
        dated = [_dated(each, source) for each in prices]
        known = tuple(each for each in dated if each is not None)
        # One that cannot be said in our terms must not let another, older one hold instead of it.
        return Tariff(known) if known and len(known) == len(dated) else None


def matches(rule: Mapping[str, Any], text: str) -> bool:
    """Whether a rule of the data (``{"starts_with": "gpt-4"}``, ``{"or": [...]}``) holds for a lower-cased name."""
    (kind, value), *_ = rule.items()
    match kind:
        case "or":
            return any(matches(each, text) for each in value)
        case "and":
            return all(matches(each, text) for each in value)
        case "equals":
            return text == str(value).lower()
        case "starts_with":
            return text.startswith(str(value).lower())
        case "ends_with":
            return text.endswith(str(value).lower())
        case "contains":
            return str(value).lower() in text
        case "regex":
            return _compiled(str(value)).search(text) is not None
        case _:
            return False  # of a newer package: unknown, and so is the price


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _dated(each: Mapping[str, Any], source: str) -> Dated | None:
    price = _price(each["prices"], source)
    if price is None:
        return None
    constraint = each.get("constraint") or {}
    starts = constraint.get("start_date")
    return Dated(
        price,
        None if starts is None else date.fromisoformat(starts),
        (_utc(constraint["start_time"]), _utc(constraint["end_time"])) if "start_time" in constraint else None,
    )


def _utc(text: str) -> time:
    value = time.fromisoformat(text)
    if value.tzinfo is None:
        return value
    return datetime.combine(date(1970, 1, 2), value).astimezone(UTC).time()


def _price(prices: Mapping[str, Any], source: str) -> Price | None:
    """``None`` when nothing of it is a price for what we count."""
    prices = dict(prices)
    if "output_mtok" not in prices and "output_image_mtok" in prices:
        prices["output_mtok"] = prices["output_image_mtok"]  # models that only draw: their output tokens are pictures
    known = {name: value for name, value in prices.items() if name in _PLACES and value is not None}
    if not known:
        return None
    starts = sorted(
        {tier["start"] for value in known.values() if isinstance(value, Mapping) for tier in value["tiers"]}
    )
    price: Price | None = None
    for start in reversed([None, *starts]):
        price = _flat({name: _at(value, start) for name, value in known.items()}, source, price, _next(starts, start))
    return price


def _next(starts: Sequence[int], start: int | None) -> int | None:
    above = next((each for each in starts if start is None or each > start), None)
    return None if above is None else above + 1


def _at(value: Any, start: int | None) -> str:
    """The figure that holds for inputs longer than ``start``."""
    if not isinstance(value, Mapping):
        return str(value)
    figure = value["base"]
    for tier in sorted(value["tiers"], key=lambda tier: int(tier["start"])):
        if start is not None and tier["start"] <= start:
            figure = tier["price"]
    return str(figure)


def _flat(known: Mapping[str, str], source: str, longer: Price | None, above: int | None) -> Price:
    fields: dict[str, int] = {"input": 0, "output": 0}
    for name, value in known.items():
        place, per = _PLACES[name]
        fields[place] = nano(Decimal(value) / per)
    return Price(**fields, above=above, long=longer, source=source)
