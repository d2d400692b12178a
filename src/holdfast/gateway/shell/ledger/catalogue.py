"""Reads the data of ``genai-prices`` without importing the package, which brings pydantic and an HTTP client with it.

The data is one module of constructor calls. This file is run as a program of its own, once at the start of a gateway:
in place of the package's types it puts functions that return what they were called with, lets Python import the data
module (from its compiled file, where there is one), and prints it as JSON. 50 ms and 15 MB, in a process that is gone
when the first request comes. It needs nothing but the standard library, so it runs isolated (``-I -S``).
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

_RULES = {
    "ClauseStartsWith": "starts_with",
    "ClauseEndsWith": "ends_with",
    "ClauseContains": "contains",
    "ClauseRegex": "regex",
    "ClauseEquals": "equals",
    "ClauseOr": "or_",
    "ClauseAnd": "and_",
}
_RECORDS = (
    "Provider",
    "UsageExtractor",
    "UsageExtractorMapping",
    "ModelInfo",
    "ModelPrice",
    "TieredPrices",
    "Tier",
    "ConditionalPrice",
    "PriceVariant",
    "StartDateConstraint",
    "TimeOfDateConstraint",
    "ArrayMatch",
)
_WANTED = ("id", "provider_match", "fallback_model_providers")


def _rule(name: str) -> Callable[..., dict[str, Any]]:
    def make(*values: Any, **fields: Any) -> dict[str, Any]:
        return {name.rstrip("_"): values[0] if values else fields[name]}

    return make


def _record(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def read(directory: Path) -> list[dict[str, Any]]:
    """The providers, as plain values. ``directory`` is the package's."""
    package = types.ModuleType("genai_prices")
    package.__path__ = [str(directory)]
    stand_in = types.ModuleType("genai_prices.types")
    for name, field in _RULES.items():
        setattr(stand_in, name, _rule(field))
    for name in _RECORDS:
        setattr(stand_in, name, _record)
    sys.modules.update({"genai_prices": package, "genai_prices.types": stand_in})
    providers = importlib.import_module("genai_prices.data").providers
    return [
        {
            **{name: provider[name] for name in _WANTED if name in provider},
            "models": [
                {name: model[name] for name in ("id", "match", "prices", "context_window") if name in model}
                for model in provider.get("models", ())
            ],
        }
        for provider in providers
    ]


if __name__ == "__main__":
    json.dump(read(Path(sys.argv[1])), sys.stdout, default=str)
