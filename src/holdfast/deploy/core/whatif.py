"""One thing changed: ``key=value`` as ``--what-if`` takes it, and as decisive facts are written.

=================================================  ==================================================
``longest=60s``, ``scale.max=4``, ``package=zip``  a field of the workload
``longest=``                                       the same, not stated
``protocols=http/1.1,sse``                         a list, by commas
``needs+=gpu``, ``needs-=exec,gpu``                added to a list, or taken from it
``fact:app-runner.request_longest=3600``           a fact, in its property's unit or with one (``1h``)
``account.app_runner_customer=true``               what is particular to the account
``account.quotas.ecs-fargate=16``                  one of its limits
``operations=low``                                 the appetite for platform work
=================================================  ==================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

import msgspec

from holdfast.deploy.core.candidates import BY_ID
from holdfast.deploy.core.constraints.case import STATED, words
from holdfast.deploy.core.facts import Fact, Facts, Value
from holdfast.deploy.core.properties import PROPERTIES, Property
from holdfast.deploy.core.validate import validate
from holdfast.deploy.core.workload import Account, DeploySettings, HealthNeeds, Workload
from holdfast.deploy.errors import Invalid
from holdfast.kernel import Duration, HoldfastError, Size
from holdfast.kernel.settings import Section

S = TypeVar("S", bound=Section)

MAX_TEXT: Final = 1000
_FLAGS: Final[dict[str, Value]] = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Settings, workload and facts with the change made."""

    settings: DeploySettings
    workload: Workload
    facts: Facts


def what_if(settings: DeploySettings, workload: Workload, facts: Facts, text: str) -> Asked:
    """The same with one thing changed. Raises :class:`~holdfast.deploy.errors.Invalid` with what is wrong and a remedy.

    The result is held to the same rules as a file: a change that contradicts the rest is refused.
    """
    if len(text) > MAX_TEXT:
        _wrong(f"{text[:40]}...", f"write at most {MAX_TEXT} characters")
    key, sign, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not sign or not key:
        _wrong(text, "write key=value, such as longest=60s, needs-=gpu or fact:app-runner.request_longest=3600")
    if key.startswith("fact:"):
        return Asked(settings=settings, workload=workload, facts=facts.stating(_fact(facts, key, value, text)))
    if key.startswith("account."):
        account = _account(settings.account, key.removeprefix("account."), value, text)
        return Asked(settings=msgspec.structs.replace(settings, account=account), workload=workload, facts=facts)
    changed = _set(workload, key, value, text)
    problems = validate(DeploySettings(workloads={"workload": changed}))
    if problems:
        first = problems[0]
        _wrong(text, f"{'.'.join(map(str, first.path[2:]))}: {first.message}; {first.remedy}")
    return Asked(settings=settings, workload=changed, facts=facts)


def stated(fact: Fact, value: Value) -> str:
    """What :func:`what_if` takes to state a fact."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, frozenset):
        text = words(value)
    else:
        text = value if isinstance(value, str) else f"{value:.15g}"
    return f"fact:{fact.id}={text}"


def _wrong(text: str, remedy: str) -> NoReturn:
    message = f"what-if {text!r}: {remedy}"
    raise Invalid(message)


def _fact(facts: Facts, key: str, value: str, text: str) -> Fact:
    platform, dot, name = key.removeprefix("fact:").rpartition(".")
    known = {one.id for one in facts.platforms} | set(BY_ID)
    if not dot or platform not in known:
        _wrong(text, f"write fact:PLATFORM.PROPERTY=VALUE with one of {', '.join(sorted(known))}")
    prop = PROPERTIES.get(name)
    if prop is None:
        _wrong(text, f"{name!r} is no property; write one of {', '.join(PROPERTIES)}")
    parsed = None if value == "unknown" else _value(prop, value, text)
    return Fact(platform=platform, name=name, value=parsed, unit=prop.unit, source=STATED)


def _value(prop: Property, value: str, text: str) -> Value:
    if prop.kind == "flag":
        if value not in _FLAGS:
            _wrong(text, "write true, false or unknown")
        return _FLAGS[value]
    if prop.kind == "quantity":
        return _number(prop.unit, value, text)
    if prop.kind == "set":
        found = frozenset(word.strip() for word in value.split(",") if word.strip())
    else:
        found = frozenset({value})
    if prop.words and not found <= set(prop.words):
        _wrong(text, f"write of {', '.join(prop.words)}")
    return found if prop.kind == "set" else value


def _number(unit: str, value: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError:
        try:
            number = (
                float(Duration.parse(value)) if unit == "s" else float(Size.parse(value)) if unit == "B" else math.nan
            )
        except (ValueError, HoldfastError):
            number = math.nan
    if not 0 <= number < math.inf:
        _wrong(text, f"write a number from 0 on{', such as 60 or 1m' if unit == 's' else ''}")
    return number


def _account(account: Account, key: str, value: str, text: str) -> Account:
    if key.startswith("quotas."):
        platform = key.removeprefix("quotas.")
        if platform not in {candidate.compute for candidate in BY_ID.values()}:
            _wrong(text, f"{platform!r} is no platform that is weighed")
        quotas = {name: limit for name, limit in account.quotas.items() if name != platform}
        if value:
            quotas[platform] = _number("", value, text)
        return msgspec.structs.replace(account, quotas=quotas)
    return _set(account, key, value, text)


def _set(section: S, key: str, value: str, text: str) -> S:
    """A section with one field set, added to (``+``) or taken from (``-``)."""
    operator = key[-1] if key[-1:] in ("+", "-") else ""
    name, dot, rest = key.removesuffix(operator).partition(".")
    fields = {field.name: field for field in msgspec.structs.fields(type(section))}
    if name not in fields:
        _wrong(text, f"{name!r} is no setting; write one of {', '.join(fields)}")
    now = getattr(section, name)
    if dot:
        inner = now if isinstance(now, Section) else HealthNeeds() if name == "health" else None
        if inner is None:
            _wrong(text, f"{name!r} has nothing below it")
        return msgspec.structs.replace(section, **{name: _set(inner, rest + operator, value, text)})
    field = fields[name]
    items = tuple(item.strip() for item in value.split(",") if item.strip())
    if operator:
        if not isinstance(now, tuple):
            _wrong(text, f"{name!r} is no list; write {name}={value}")
        kept = tuple(item for item in now if item not in items)
        return msgspec.structs.replace(
            section, **{name: _converted((*kept, *items) if operator == "+" else kept, field, text)}
        )
    if not value:
        return msgspec.structs.replace(section, **{name: getattr(type(section)(), name)})
    raw: object = items if isinstance(getattr(type(section)(), name), tuple) else value
    return msgspec.structs.replace(section, **{name: _converted(raw, field, text)})


def _converted(raw: object, field: msgspec.structs.FieldInfo, text: str) -> object:
    try:
        return msgspec.convert(raw, field.type, strict=False, dec_hook=_units)
    except (msgspec.ValidationError, ValueError, HoldfastError) as wrong:
        raise Invalid(f"what-if {text!r}: {wrong}; a {field.name} is written as in a workload") from wrong


def _units(kind: type, value: object) -> object:
    """Durations and sizes, which are no types of the decoder's own."""
    if kind in (Duration, Size) and isinstance(value, str):
        return kind.parse(value)
    raise ValueError(f"no {kind.__name__}")
