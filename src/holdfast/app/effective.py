"""The configuration in force, defaults included, as YAML that can be read back."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from holdfast.app.config import Loaded
from holdfast.app.diagnostics import Path, is_secret
from holdfast.kernel import Duration, Size
from holdfast.store import redacted
from holdfast.telemetry.logs import MASK


def effective(loaded: Loaded) -> dict[str, Any]:
    """The configuration as plain values; durations and sizes are text with a unit.

    A secret is shown as the ``${NAME}`` that it comes from, or as ``***``, which the loader
    refuses: a printed configuration never carries a working token, nor a guessable one.
    """
    plain = _plain(loaded.config, (), loaded)
    return {name: section for name, section in plain.items() if section is not None}


def render(loaded: Loaded) -> str:
    """The same as YAML."""
    return yaml.safe_dump(effective(loaded), sort_keys=False, allow_unicode=True, width=120)


def _plain(value: Any, path: Path, loaded: Loaded) -> Any:
    if isinstance(value, str) and is_secret(path):
        return loaded.references.get(path, MASK)
    if path == ("store", "url"):
        return loaded.references.get(path) or redacted(value)
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name), (*path, name), loaded) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: _plain(item, (*path, key), loaded) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item, (*path, index), loaded) for index, item in enumerate(value)]
    if isinstance(value, (Duration, Size)):
        return str(value)
    if isinstance(value, str):
        return value.replace("$", "$$")
    return value
