"""The record of one drill, as it is written and read."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import math
import operator
import shlex
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final, Literal

import msgspec

from holdfast.evidence.errors import ExpressionError, RecordInconsistentError
from holdfast.evidence.expression import evaluate
from holdfast.evidence.origin import Machine
from holdfast.evidence.samples import Samples

Better = Literal["lower", "higher", "neither"]
Comparison = Literal["<=", ">=", "<", ">", "=="]

_TOLERANCE: Final = 1e-9
"""Relative. JSON keeps floats exactly; this leaves room for another libm, not for another value."""
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}


class Metric(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    rename={"derivation": "from", "low_derivation": "low_from", "high_derivation": "high_from"},
):
    """One number, with the expression over the samples that gives it."""

    value: float | None
    """``None``: undefined for these samples (see :mod:`.expression`)."""
    unit: str
    better: Better
    derivation: str
    low: float | None = None
    """Lower end of the spread over repetitions, where there were any."""
    high: float | None = None
    low_derivation: str | None = None
    high_derivation: str | None = None


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A sentence that the drill holds up, and whether it stood."""

    claim: str
    metric: str
    comparison: Comparison
    bound: float
    value: float | None
    holds: bool
    in_quick: bool = False
    """Whether a quick run can judge it too."""

    @classmethod
    def judge(
        cls,
        claim: str,
        metric: str,
        comparison: Comparison,
        bound: float,
        value: float | None,
        *,
        in_quick: bool = False,
    ) -> Claim:
        """Compare a value with a bound. An undefined value never holds."""
        return cls(
            claim=claim,
            metric=metric,
            comparison=comparison,
            bound=bound,
            value=value,
            holds=value is not None and _COMPARE[comparison](value, bound),
            in_quick=in_quick,
        )


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The same run without the mechanism that the drill praises."""

    what: str
    """What was switched off."""
    samples: dict[str, Samples]
    metrics: dict[str, Metric]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Everything that is needed to believe, question and repeat one drill."""

    id: str
    drill: str
    title: str
    argv: tuple[str, ...]
    """The command that repeats it."""
    commit: str | None
    dirty: bool
    """Tracked files differed from the commit."""
    inputs: dict[str, str]
    """SHA-256 of the code and configuration it ran on, by path in the project."""
    machine: Machine
    versions: dict[str, str]
    seed: int
    quick: bool
    """A smoke run of a few seconds: it shows that the drill works, not what it claims."""
    started: dt.datetime
    duration_s: float
    parameters: dict[str, float | int | str | bool] = {}
    """Rates, durations, capacities: what the numbers depend on."""
    notes: tuple[str, ...] = ()
    """What a reader must know: a peer that is missing, a limit that was met."""
    samples: dict[str, Samples]
    metrics: dict[str, Metric]
    claims: tuple[Claim, ...] = ()
    control: Control | None = None
    seal: str = ""
    """SHA-256 over everything else, so that a change of what no metric rests on is noticed too; empty in records from
    before there were seals. It guards against slips of the hand, not against somebody who computes it again."""

    def failed_claims(self) -> tuple[Claim, ...]:
        """Claims that did not hold, of those that this kind of run can judge."""
        return tuple(claim for claim in self.claims if not claim.holds and (claim.in_quick or not self.quick))


def measure(
    derivation: str,
    *,
    unit: str,
    better: Better,
    samples: Mapping[str, Samples],
    control: Mapping[str, Samples] | None = None,
    low: str | None = None,
    high: str | None = None,
) -> Metric:
    """Compute a metric from samples. Raises :class:`ExpressionError`."""

    def number(expression: str | None) -> float | None:
        return None if expression is None else evaluate(expression, samples=samples, control=control)

    return Metric(
        value=number(derivation),
        unit=unit,
        better=better,
        derivation=derivation,
        low=number(low),
        high=number(high),
        low_derivation=low,
        high_derivation=high,
    )


def sealed(record: Record) -> Record:
    """The record with its seal."""
    return msgspec.structs.replace(record, seal=_seal(record))


def _seal(record: Record) -> str:
    # Read once, as a reader will: a bound that a drill gave as 0 is 0.0 by then.
    read = msgspec.json.decode(msgspec.json.encode(msgspec.structs.replace(record, seal="")), type=Record)
    return hashlib.sha256(msgspec.json.encode(read, order="deterministic")).hexdigest()


def verify(record: Record) -> None:
    """Recompute metrics, verdicts and the seal, and look at the circumstances.

    Raises :class:`RecordInconsistentError` naming all differences.
    """
    control = record.control
    faults = _differences("", record.metrics, record.samples, control.samples if control else None)
    if control is not None:
        faults += _differences("control: ", control.metrics, control.samples, None)
    for claim in record.claims:
        metric = record.metrics.get(claim.metric)
        if metric is None:
            faults.append(f"claim {claim.claim!r} is about {claim.metric}, which is not in the record")
            continue
        judged = Claim.judge(
            claim.claim, claim.metric, claim.comparison, claim.bound, metric.value, in_quick=claim.in_quick
        )
        if not _same(judged.value, claim.value) or judged.holds != claim.holds:
            faults.append(
                f"claim {claim.claim!r} says {claim.value} holds={claim.holds}, the metric says {judged.value}"
            )
    faults += _circumstances(record)
    if record.seal and not hmac.compare_digest(record.seal, _seal(record)):
        faults.append("its seal is that of other content: the file was changed after the drill wrote it")
    if faults:
        raise RecordInconsistentError(f"{record.drill}/{record.id}", faults)


def _circumstances(record: Record) -> list[str]:
    """What no run can have had, and a command that would not repeat this one."""
    faults = []
    if not (math.isfinite(record.duration_s) and record.duration_s >= 0):
        faults.append(f"it lasted {record.duration_s} s")
    if record.started.tzinfo is None:
        faults.append(f"it started at {record.started}, which names no time zone")
    for name, value in record.parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            faults.append(f"parameter {name} is {value}")
    command = shlex.join(record.argv)
    if "--seed" in record.argv and ("--seed", str(record.seed)) not in pairwise(record.argv):
        faults.append(f"its seed is {record.seed}, its command is {command!r}")
    if record.quick and "--quick" not in record.argv:
        faults.append(f"it was a quick run, its command is {command!r}")
    return faults


def _differences(
    prefix: str, metrics: Mapping[str, Metric], samples: Mapping[str, Samples], control: Mapping[str, Samples] | None
) -> list[str]:
    faults = []
    for name, metric in metrics.items():
        try:
            again = measure(
                metric.derivation,
                unit=metric.unit,
                better=metric.better,
                samples=samples,
                control=control,
                low=metric.low_derivation,
                high=metric.high_derivation,
            )
        except ExpressionError as error:
            faults.append(f"{prefix}{name}: {error}")
            continue
        for part, says, follows in (
            ("", metric.value, again.value),
            (" (low)", metric.low, again.low),
            (" (high)", metric.high, again.high),
        ):
            if not _same(says, follows):
                faults.append(f"{prefix}{name}{part} says {says}, its samples give {follows}")
    return faults


def _same(left: float | None, right: float | None) -> bool:
    if left is None or right is None:
        return left is right
    return math.isclose(left, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
