"""What every command of the planner starts from: workloads, facts, prices, records, a day, and what to suppose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cached_property
from pathlib import Path

import msgspec

from holdfast.app.workloads import demo_workloads, load_workloads
from holdfast.deploy.core.answer import Answer
from holdfast.deploy.core.cost import CostOf, cost_of
from holdfast.deploy.core.fit import fit
from holdfast.deploy.core.footprint import footprint
from holdfast.deploy.core.migrate import Migration, migrate
from holdfast.deploy.core.plan import Plan
from holdfast.deploy.core.planning import plan
from holdfast.deploy.core.whatif import what_if
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.evidence import read_evidence
from holdfast.deploy.shell.files import load_facts, load_prices


def day(text: str | None) -> date:
    """``--at``; today without."""
    if text is None:
        return date.today()  # noqa: DTZ011 - facts and prices are dated by day
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"--at: {text!r} is not a day; write YYYY-MM-DD") from error


class Given:
    """A file of workloads with the facts and prices of a day."""

    def __init__(
        self, config: Path | None, *, at: str | None, evidence: Path | None, facts: Path | None, prices: Path | None
    ) -> None:
        self.at = day(at)
        self.facts = load_facts(facts)
        self.prices = load_prices(prices)
        settings = demo_workloads() if config is None else load_workloads(config)
        found = read_evidence(evidence or Path("evidence"))
        self.notes = list(found.notes)
        prints = {name: footprint(one, found.measured) for name, one in settings.workloads.items()}
        self.origins = {name: [origin.text for origin in one.origins] for name, one in prints.items()}
        own = {
            name: msgspec.structs.replace(one, traffic=prints[name].traffic) for name, one in settings.workloads.items()
        }
        self.settings = msgspec.structs.replace(settings, workloads=own)

    def chosen(self, names: Sequence[str] | None) -> list[str]:
        """The workloads that were named, or all of them."""
        known = list(self.settings.workloads)
        if not known:
            raise Invalid("no workload in the file; add one below `workloads:`; docs/deploy.md has an example")
        for name in names or ():
            if name not in known:
                raise Invalid(f"{name}: no such workload; there are: {', '.join(known)}")
        return list(names or known)

    def suppose(self, changes: Sequence[str], names: Sequence[str]) -> None:
        """Change needs, facts or figures of these workloads first, ``KEY=VALUE`` each."""
        for change in changes:
            for name in names:
                asked = what_if(self.settings, self.settings.workloads[name], self.facts, change)
                own = {**asked.settings.workloads, name: asked.workload}
                self.settings = msgspec.structs.replace(asked.settings, workloads=own)
            self.facts = asked.facts if names else self.facts

    def region(self, name: str) -> str:
        """The first region of a workload."""
        return next(iter(self.settings.workloads[name].regions), self.settings.region)

    @property
    def cost(self) -> CostOf:
        """What a workload costs somewhere."""
        return cost_of(self.settings, self.prices, self.at)

    def answer(self, name: str, *, explain: bool = False) -> Answer:
        """Where one workload goes, in its first region."""
        return fit(
            name,
            self.settings.workloads[name],
            settings=self.settings,
            region=self.region(name),
            facts=self.facts,
            cost=self.cost,
            at=self.at,
            explain=explain,
        )

    def migration(self, name: str, origin: str | None) -> Migration:
        """What becomes of a workload where it is, in its first region."""
        workload = self.settings.workloads[name]
        if origin is not None:
            workload = msgspec.structs.replace(workload, on=origin)
        return migrate(
            name,
            workload,
            settings=self.settings,
            region=self.region(name),
            facts=self.facts,
            cost=self.cost,
            at=self.at,
        )

    @cached_property
    def plan(self) -> Plan:
        """The whole file, placed."""
        return plan(self.settings, facts=self.facts, cost=self.cost, at=self.at, explain=False)
