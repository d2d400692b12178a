"""The little language in which a metric says how it follows from its samples.

::

    expression = number | series | function "(" expression *( "," expression ) ")"
               | expression ( "+" | "-" | "*" | "/" ) expression | "-" expression
               | expression ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) expression
    series     = ( "samples" | "control" ) 1*( "." name )

``samples`` are those of the record, ``control`` those of its negative control. Functions
turn a series into a number: ``count sum mean min max median p50 p90 p95 p99 p999`` and
``ratio(a, b)`` = sum(a) / sum(b); ``ratio(a)`` is the share of a's numbers that are not 0.
Arithmetic on two equally long lists works element by element; a comparison gives 1 or 0.

What has no value (a quantile of nothing, a division by zero) is ``None``, and so is all
that depends on it. Only these forms are accepted: a record may come from anybody.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Final

from holdfast.evidence import samples as series
from holdfast.evidence.errors import ExpressionError
from holdfast.evidence.samples import Histogram, Samples

_LONGEST: Final = 1000
Value = float | Samples | None


def _mean(samples: Samples) -> float | None:
    number = series.count(samples)
    return series.total(samples) / number if number else None


def _extreme(choose: Callable[[tuple[float, ...]], float]) -> Callable[[Samples], float | None]:
    def reduce(samples: Samples) -> float | None:
        values = samples.values if isinstance(samples, Histogram) else samples
        return choose(values) if values else None

    return reduce


def _quantile(q: float) -> Callable[[Samples], float | None]:
    return lambda samples: series.quantile(samples, q)


def _share_of_nonzero(samples: Samples) -> float | None:
    number = series.count(samples)
    return sum(times for value, times in series.pairs(samples) if value != 0) / number if number else None


_REDUCTIONS: Final[dict[str, Callable[[Samples], float | None]]] = {
    "count": lambda samples: float(series.count(samples)),
    "sum": series.total,
    "mean": _mean,
    "min": _extreme(min),
    "max": _extreme(max),
    "median": _quantile(0.5),
    "p50": _quantile(0.5),
    "p90": _quantile(0.9),
    "p95": _quantile(0.95),
    "p99": _quantile(0.99),
    "p999": _quantile(0.999),
    "ratio": _share_of_nonzero,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[float, float], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate(
    text: str, *, samples: Mapping[str, Samples], control: Mapping[str, Samples] | None = None
) -> float | None:
    """The number that an expression stands for, or ``None`` if it has none.

    Raises :class:`ExpressionError` for anything outside the grammar and for unknown series.
    """
    if len(text) > _LONGEST:
        raise ExpressionError(text[:40] + "...", f"is longer than {_LONGEST} characters")
    try:
        tree = ast.parse(text, mode="eval").body
        value = _Evaluation(text, {"samples": samples, "control": control or {}}).value(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(text, f"cannot be read ({type(error).__name__})") from error
    if value is None or isinstance(value, float):
        return value
    raise ExpressionError(text, "is a series, not a number; reduce it with a function such as mean(...)")


class _Evaluation:
    """One walk over one expression."""

    def __init__(self, text: str, roots: Mapping[str, Mapping[str, Samples]]) -> None:
        self._text = text
        self._roots = roots

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return float(number)
            case ast.Attribute():
                return self._series(node)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, [self.value(argument) for argument in arguments])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._combine(_ARITHMETIC[type(op)], self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._combine(operator.sub, 0.0, self.value(operand))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                compare = _COMPARISONS[type(op)]
                return self._combine(lambda a, b: float(compare(a, b)), self.value(left), self.value(right))
            case _:
                raise self._error(f"uses {ast.unparse(node)!r}, which the grammar does not have")

    def _error(self, what: str) -> ExpressionError:
        return ExpressionError(self._text, what)

    def _series(self, node: ast.expr) -> Samples:
        path: list[str] = []
        while isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        root = node.id if isinstance(node, ast.Name) else ""
        if root not in self._roots:
            raise self._error("must name its series as samples.NAME or control.NAME")
        name = ".".join(reversed(path))
        found = self._roots[root].get(name)
        if found is None:
            raise self._error(f"needs {root}.{name}, which the record does not have")
        return found

    def _call(self, name: str, arguments: list[Value]) -> float | None:
        if name not in _REDUCTIONS:
            raise self._error(f"calls {name}(); there are {', '.join(_REDUCTIONS)}")
        if None in arguments:
            return None
        many = [argument for argument in arguments if isinstance(argument, tuple | Histogram)]
        if len(many) != len(arguments):
            raise self._error(f"gives a number to {name}(), which takes series")
        if len(many) == 1:
            return _REDUCTIONS[name](many[0])
        if name == "ratio" and len(many) == 2:
            below = series.total(many[1])
            return series.total(many[0]) / below if below else None
        raise self._error(f"gives {len(many)} arguments to {name}()")

    def _combine(self, combine: Callable[[float, float], float], left: Value, right: Value) -> Value:
        if left is None or right is None:
            return None
        if isinstance(left, Histogram) or isinstance(right, Histogram):
            raise self._error("computes with a histogram; reduce it first")
        if isinstance(left, float) and isinstance(right, float):
            return self._one(combine, left, right)
        if isinstance(left, tuple) and isinstance(right, tuple) and len(left) != len(right):
            raise self._error(f"combines {len(left)} numbers with {len(right)}")
        length = len(left) if isinstance(left, tuple) else len(right) if isinstance(right, tuple) else 0
        lefts = left if isinstance(left, tuple) else (left,) * length
        rights = right if isinstance(right, tuple) else (right,) * length
        combined = [self._one(combine, a, b) for a, b in zip(lefts, rights, strict=True)]
        return None if None in combined else tuple(number for number in combined if number is not None)

    @staticmethod
    def _one(combine: Callable[[float, float], float], left: float, right: float) -> float | None:
        try:
            result = combine(left, right)
        except (ZeroDivisionError, OverflowError):
            return None
        return result if math.isfinite(result) else None
