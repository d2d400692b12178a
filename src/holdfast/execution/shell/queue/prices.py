"""What a job will probably cost, by what is known when the question is asked.

A job is priced when it is submitted, and again when it might be claimed: a flood of jobs is submitted before the first
of them has run, and the slots that they may hold must not depend on what was guessed then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.execution.core.estimate import Estimate, Expected, expect, is_heavy
from holdfast.execution.shell.queue import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from holdfast.execution.core.settings import FairnessSettings
    from holdfast.store import Tx

EVERYBODY: Final = ""
"""In place of a tenant: the estimate for one that has none of its own."""


def known(tx: Tx, tenants: Iterable[str]) -> dict[tuple[str, str], Estimate]:
    """Estimates by tenant and language; :data:`EVERYBODY` is among the tenants."""
    rows = tx.all(sql.of(tx.dialect, sql.ESTIMATES), sql.several(tx.dialect, {EVERYBODY, *tenants}))
    return {(row[0], row[1]): Estimate(mean_us=row[2], high_us=row[3]) for row in rows}


def price(
    estimates: Mapping[tuple[str, str], Estimate],
    tenant: str,
    language: str,
    *,
    given_us: int,
    cpu_limit_us: int,
    compiled: bool,
    settings: FairnessSettings,
) -> Expected:
    """Of one job.

    ``given_us`` is what was said of it before, 0 for nothing; it counts while nothing is known of its kind.
    """
    own, everybody = estimates.get((tenant, language)), estimates.get((EVERYBODY, language))
    if given_us and own is None and everybody is None:
        return Expected(cost_us=given_us, heavy=is_heavy(given_us, compiled=compiled, settings=settings))
    return expect(own, everybody, cpu_limit_s=cpu_limit_us / 1e6, compiled=compiled, settings=settings)
