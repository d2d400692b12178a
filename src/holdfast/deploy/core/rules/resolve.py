"""Templates as the rules read them: with parameters put in, conditions decided, and references left as references.

Conditions depend on parameters, and an operator may choose any. So a template is read once for every combination of the
values that its conditions tell apart; a rule sees plain values and needs to know nothing of ``Fn::If``. What only AWS
can say (an attribute, an import, a parameter without a default) stays what it is, a mapping with one key, and is
never taken for a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, product
from re import compile as pattern
from typing import Any, Final

from holdfast.deploy.errors import Invalid

Value = Any
"""JSON, as it stands in a template."""

VARIANTS_MOST: Final = 64
"""Combinations of parameters that are looked at, as of six flags. Beyond that, one parameter at a time."""
_DEPTH_MOST: Final = 64
"""Nesting of a template: CloudFormation takes 51,200 bytes and no template nests a tenth as deep."""
_NODES_MOST: Final = 500_000
"""Values in one template. A text of a few lines can stand for more by aliases of aliases."""
_OTHER: Final = "\x00any other value"
_GONE: Final = object()
_VARIABLE: Final = pattern(r"\$\{(!?)([A-Za-z0-9:.]+)\}")
_PSEUDO: Final = {
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}


def is_literal(value: Value) -> bool:
    """Whether a value is one, and not a reference that is resolved only when the stack is made."""
    return not (isinstance(value, Mapping) and len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::")))


def text_of(value: Value) -> str | None:
    """A scalar as text, as CloudFormation reads numbers in strings; ``None`` for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def number_of(value: Value) -> float | None:
    """A number, also one that is written as text; ``None`` if it is not known here."""
    if isinstance(value, bool) or (text := text_of(value)) is None:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_true(value: Value) -> bool:
    """Whether a flag is set, also when written as text."""
    return text_of(value) in {"true", "True"}


def mapping_of(value: Value) -> Mapping[str, Any]:
    """A mapping, or an empty one."""
    return value if isinstance(value, Mapping) and is_literal(value) else {}


def list_of(value: Value) -> Sequence[Any]:
    """A list; one value stands for a list of it, as in policies."""
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def references(value: Value) -> Iterator[str]:
    """Logical ids that a value refers to, by any function."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, Mapping):
            for key, inner in one.items():
                if key == "Ref" and isinstance(inner, str):
                    yield inner
                elif key == "Fn::GetAtt":
                    yield str(inner[0] if isinstance(inner, list | tuple) else str(inner).split(".")[0])
                elif key == "Fn::Sub":
                    text = inner[0] if isinstance(inner, list | tuple) else inner
                    yield from (name.split(".")[0] for escaped, name in _VARIABLE.findall(str(text)) if not escaped)
                    stack.append(inner[1:] if isinstance(inner, list | tuple) else None)
                else:
                    stack.append(inner)
        elif isinstance(one, list | tuple):
            stack.extend(one)


def target_of(value: Value) -> str | None:
    """The one logical id that a value refers to; ``None`` if there is none or more than one."""
    found = set(references(value))
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, eq=False)
class Resource:
    """One resource with everything put in that can be known; two are the same if they are one object."""

    id: str
    type: str
    properties: Mapping[str, Any]
    body: Mapping[str, Any]
    """The whole entry: ``DependsOn``, ``DeletionPolicy``."""

    def about(self, key: str) -> Value:
        """What the template says beside CloudFormation's own language: ``Metadata: {holdfast: {longest_s: 600}}``."""
        return mapping_of(mapping_of(self.body.get("Metadata")).get("holdfast")).get(key)

    def at(self, *path: str) -> Value:
        """The property at a path; ``None`` if there is none."""
        value: Value = self.properties
        for key in path:
            value = mapping_of(value).get(key)
        return value


@dataclass(frozen=True)
class Resolved:
    """A template with one choice of its parameters."""

    resources: Mapping[str, Resource]
    parameters: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    """Parameters that were given a value other than their default."""

    @cached_property
    def _by_type(self) -> Mapping[str, tuple[Resource, ...]]:
        found: dict[str, tuple[Resource, ...]] = {}
        for resource in self.resources.values():
            found[resource.type] = (*found.get(resource.type, ()), resource)
        return found

    def of(self, *types: str) -> tuple[Resource, ...]:
        """All resources of these types (``AWS::ECS::Service``)."""
        return tuple(resource for type in types for resource in self._by_type.get(type, ()))

    def target(self, value: Value, *types: str) -> Resource | None:
        """The resource of the template that a value refers to, if it has one of the types (any, if none is named)."""
        found = [self.resources[id] for id in sorted(set(references(value))) if id in self.resources]
        fitting = [resource for resource in found if not types or resource.type in types]
        return fitting[0] if len(fitting) == 1 else None


def variants(template: Mapping[str, Any], *, region: str) -> Iterator[Resolved]:
    """The template under every choice of parameters that its conditions tell apart, the defaults first.

    Raises :class:`Invalid` for what is no template.
    """
    resources = template.get("Resources")
    if not isinstance(resources, Mapping) or not resources:
        raise Invalid("the template has no Resources; a CloudFormation template is expected")
    for id, body in resources.items():
        if not isinstance(body, Mapping) or not isinstance(body.get("Type"), str):
            raise Invalid(f"Resources.{id}: a mapping with a Type is expected")
        if not isinstance(body.get("Properties", {}), Mapping):
            raise Invalid(f"Resources.{id}.Properties: a mapping is expected")
    parameters = {name: mapping_of(body) for name, body in mapping_of(template.get("Parameters")).items()}
    for chosen in _choices(template, parameters):
        yield _Resolver(template, parameters, chosen, region).resolved()


def _choices(template: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """Values for the parameters that conditions look at."""
    values: dict[str, list[str]] = {}
    for condition in mapping_of(template.get("Conditions")).values():
        for name, compared in _compared(condition):
            if name not in parameters:
                continue
            allowed = [str(text_of(one)) for one in list_of(parameters[name].get("AllowedValues"))]
            default = text_of(parameters[name].get("Default"))
            known = values.setdefault(name, [] if default is None else [default])
            known.extend(value for value in (compared, *(allowed or [_OTHER])) if value not in known)
    count = 1
    for known in values.values():
        count *= len(known)
    if count <= VARIANTS_MOST:
        for combination in product(*values.values()):
            yield dict(zip(values, combination, strict=True))
        return
    first = {name: known[0] for name, known in values.items()}
    yield first
    singles = ({**first, name: value} for name, known in values.items() for value in known[1:])
    yield from islice(singles, VARIANTS_MOST - 1)


def _compared(condition: Value) -> Iterator[tuple[str, str]]:
    """Pairs of a parameter and a literal that some ``Fn::Equals`` holds together."""
    if isinstance(condition, list | tuple):
        for one in condition:
            yield from _compared(one)
    if not isinstance(condition, Mapping):
        return
    for key, value in condition.items():
        if key == "Fn::Equals" and isinstance(value, list | tuple) and len(value) == 2:
            for one, other in (value, value[::-1]):
                literal = text_of(other)
                if isinstance(one, Mapping) and "Ref" in one and literal is not None:
                    yield str(one["Ref"]), literal
        else:
            yield from _compared(value)


class _Resolver:
    """Puts values in, for one choice of parameters."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, Mapping[str, Any]],
        chosen: Mapping[str, str],
        region: str,
    ) -> None:
        self._template = template
        self._parameters = parameters
        self._chosen = chosen
        self._values: dict[str, Value] = {**_PSEUDO, "AWS::Region": region}
        for name, body in parameters.items():
            value = chosen.get(name, body.get("Default"))
            if value is not None and value != _OTHER and "AWS::SSM" not in str(body.get("Type")):
                is_list = str(body.get("Type")).startswith(("List<", "CommaDelimited"))
                self._values[name] = str(value).split(",") if is_list else value
        self._conditions: dict[str, bool | None] = {}
        self._nodes = 0

    def resolved(self) -> Resolved:
        found: dict[str, Resource] = {}
        for id, body in self._template["Resources"].items():
            condition = body.get("Condition")
            if condition is not None and self._holds(str(condition)) is False:
                continue
            plain = self._plain(body, 0)
            found[str(id)] = Resource(str(id), str(body["Type"]), mapping_of(plain.get("Properties")), plain)
        outputs = mapping_of(self._plain(self._template.get("Outputs", {}), 0))
        chosen = {name: value for name, value in self._chosen.items() if value != _OTHER}
        return Resolved(found, self._parameters, outputs, chosen)

    def _holds(self, name: str) -> bool | None:
        """Whether a condition holds; ``None``: not to be known, or defined in terms of itself."""
        if name not in self._conditions:
            self._conditions[name] = None
            self._conditions[name] = self._decide(mapping_of(self._template.get("Conditions")).get(name), 0)
        return self._conditions[name]

    def _decide(self, condition: Value, depth: int) -> bool | None:
        if not isinstance(condition, Mapping) or len(condition) != 1 or depth > _DEPTH_MOST:
            return None
        ((key, value),) = condition.items()
        if key == "Condition":
            return self._holds(str(value))
        if key == "Fn::Equals":
            return self._equal(*value) if isinstance(value, list | tuple) and len(value) == 2 else None
        inner = [self._decide(one, depth + 1) for one in list_of(value)]
        if key == "Fn::Not" and len(inner) == 1:
            return None if inner[0] is None else not inner[0]
        if key == "Fn::And":
            return False if False in inner else None if None in inner else True
        if key == "Fn::Or":
            return True if True in inner else None if None in inner else False
        return None

    def _equal(self, one: Value, other: Value) -> bool | None:
        for value, against in ((one, other), (other, one)):
            named = value.get("Ref") if isinstance(value, Mapping) else None
            if named is not None and self._chosen.get(str(named)) == _OTHER and text_of(against) is not None:
                return False
        left, right = text_of(self._plain(one, 0)), text_of(self._plain(other, 0))
        return None if left is None or right is None else left == right

    def _plain(self, value: Value, depth: int) -> Value:
        self._nodes += 1
        if depth > _DEPTH_MOST:
            raise Invalid(f"the template is nested more than {_DEPTH_MOST} deep")
        if self._nodes > _NODES_MOST:
            raise Invalid(f"the template has more than {_NODES_MOST} values; aliases that name aliases are not taken")
        if isinstance(value, list | tuple):
            plain = [self._plain(one, depth + 1) for one in value]
            return [one for one in plain if one is not _GONE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key == "Ref":
                return _GONE if inner == "AWS::NoValue" else self._values.get(str(inner), value)
            if key == "Fn::If" and isinstance(inner, list | tuple) and len(inner) == 3:
                # What cannot be decided is read as true; the other branch then goes unread.
                return self._plain(inner[2 if self._holds(str(inner[0])) is False else 1], depth + 1)
            if key == "Fn::Sub":
                return self._sub(inner, depth)
            if key == "Fn::Join":
                return self._join(inner, depth)
            if key == "Fn::FindInMap" and (found := self._mapped(inner, depth)) is not None:
                return found
        plain_items = {str(key): self._plain(inner, depth + 1) for key, inner in value.items()}
        return {key: inner for key, inner in plain_items.items() if inner is not _GONE}

    def _sub(self, value: Value, depth: int) -> Value:
        """With what is known put in; text if that is all of it."""
        text, given = (value[0], mapping_of(value[1])) if isinstance(value, list | tuple) else (value, {})
        given = {name: self._plain(inner, depth + 1) for name, inner in given.items()}
        left = False

        def put(match: Any) -> str:
            nonlocal left
            if match[1]:
                return f"${{{match[2]}}}"
            known = text_of(given.get(match[2], self._values.get(match[2])))
            left = left or known is None
            return match[0] if known is None else known

        done = _VARIABLE.sub(put, str(text))
        return {"Fn::Sub": [done, given] if given else done} if left else done

    def _join(self, value: Value, depth: int) -> Value:
        plain = self._plain(value, depth + 1)
        if isinstance(plain, list) and len(plain) == 2 and isinstance(plain[1], list):
            pieces = [text_of(one) for one in plain[1]]
            if all(piece is not None for piece in pieces):
                return str(plain[0]).join(str(piece) for piece in pieces)
        return {"Fn::Join": plain}

    def _mapped(self, value: Value, depth: int) -> Value:
        plain = self._plain(value, depth + 1)
        found: Value = mapping_of(self._template.get("Mappings"))
        for key in list_of(plain):
            found = mapping_of(found).get(str(text_of(key)))
        return found or None
