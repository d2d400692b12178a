"""Whether an answer has the form that was asked for (JSON Schema).

The schema is a client's: it may reach for no network (no reference is fetched), and run no expression without bounds
(``pattern`` is held to what :mod:`.words` takes from an operator; others are not looked at). ``jsonschema`` is imported
when the first answer is checked, by those who switched this on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from holdfast.gateway.core.guard.words import Unbounded, compile_pattern

_LONGEST_PATTERNED = 4096


def mismatch(schema: Mapping[str, Any], text: str, *, with_rule: bool = False) -> str | None:
    """What is wrong with an answer: a place and a rule, never its words. ``None``: nothing.

    ``with_rule`` adds what the schema says there, for whoever is to mend it.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "it is not JSON"
    validator_class, registry = _library()
    try:
        error = next(iter(validator_class(schema, registry=registry).iter_errors(value)), None)
    except RecursionError:
        return "it is nested too deeply to be checked"
    if error is None:
        return None
    place = "/".join(str(step) for step in error.absolute_path) or "the top"
    rule = f": {json.dumps(error.validator_value, ensure_ascii=False)[:200]}" if with_rule else ""
    return f"{error.validator} at {place[:200]}{rule}"


@cache
def _library() -> tuple[Any, Any]:
    jsonschema, referencing = import_module("jsonschema"), import_module("referencing")

    def pattern(_: Any, source: str, instance: Any, __: Any) -> Iterator[Any]:
        if not isinstance(instance, str) or len(instance) > _LONGEST_PATTERNED:
            return
        try:
            compiled, _width = compile_pattern(source.removeprefix("^").removesuffix("$"), widest=_LONGEST_PATTERNED)
        except Unbounded:
            return
        anchored_start, anchored_end = source.startswith("^"), source.endswith("$")
        found = (
            compiled.fullmatch(instance)
            if anchored_start and anchored_end
            else compiled.match(instance)
            if anchored_start
            else compiled.search(instance)
        )
        if found is None:
            yield jsonschema.ValidationError("the text does not match the pattern")

    def nothing(*_: Any) -> Iterator[Any]:
        return iter(())

    strict = jsonschema.validators.extend(
        jsonschema.Draft202012Validator, {"pattern": pattern, "patternProperties": nothing}
    )
    return strict, referencing.Registry()
