"""Whether the target is down, by all that was seen of it from everywhere.

One :class:`Detector` per monitor. Evidence is the logarithm of a likelihood ratio, in nats: a failure that the path
alone would have produced with chance ``p`` speaks for "down" with ``ln(0.99 / p)``, a success against it with
``ln(0.01 / (1 - p))``; ``p`` is what the filter of that region's path predicts (:mod:`.filter`).

    sums      Evidence is added up per failure domain. A sum is at most ``cap``, half of the threshold: one domain,
              however bad, never makes an alarm.
    shared    Regions of one domain may share their spells of loss, so a second filter sees all of them together, and a
              failure says only what is left when the likelier of both explanations is taken out.
    dissent   While no sum is positive all are zero (a CUSUM forgets good times at once). From the first failure on,
              a later success in another domain counts against: down to ``-dissent``. After ``DISSENT_S`` it no longer
              does: that some place still sees the target does not make it up.
    alarm     The sums together reach the threshold: DOWN.
    lone      A region that is stuck, or has not been heard for a while, is not believed. With one believed domain
              left, that one decides by itself, against the higher ``lone_threshold`` of monitors that have only one.
    recovery  The same, mirrored: evidence for "up" per domain, each capped at half, failures elsewhere dissent. One
              domain that sees it up all the time for ``DISSENT_S`` is enough, too.
    learning  What paths do is learned from stretches that ended without an alarm (:meth:`.filter.Path.learn`).

Late results, unknown outcomes, and results older than the last of their region change nothing.

Invariants: DOWN excludes PARTIAL and SLOW; sums are within ``[-dissent, cap]``; signals alternate per condition.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from holdfast.netpulse.core.conditions import (
    PARTIAL_FAILS,
    Certificate,
    Shift,
    partial_evidence,
    slow_evidence,
)
from holdfast.netpulse.core.filter import DISBELIEF, DOWN_FAILS, Path
from holdfast.netpulse.core.incident import Condition, Evidence
from holdfast.netpulse.core.region import DISSENT, SNAPSHOT, DetectorState, Domain, Policy, Region
from holdfast.netpulse.core.result import Observation, Outcome
from holdfast.netpulse.core.rules import Streaks
from holdfast.netpulse.core.signal import Signal

__all__ = ["Detector", "Policy"]

DISSENT_S: Final = 300.0
"""Spells of loss in two domains that overlap for so long come once in centuries."""
UNHEARD_INTERVALS: Final = 3.0
"""A region that was not heard for so many intervals (and a minute) has no voice."""
RECOVERY_THRESHOLD: Final = 13.0
"""Nats: three successes (4.6 each) in three domains, two in each of two, or three in the only one. A target that is
down answers one probe in a hundred, so two successes would end an outage of a quarter of an hour once in sixty times
and page again."""
CONFIRM_SPACING_S: Final = 5.0
"""Between confirmations in one region: sooner, the same loss would be seen twice."""
CONFIRM_ROUNDS: Final = 60
"""Confirmations of one region for one suspicion: five minutes."""
CONFIRM_WORTH: Final = 2.0
"""Nats, all domains together, below which nothing is left to confirm: others have seen it up."""
_UP_SAYS: Final = 1.0 - DOWN_FAILS


class Detector:
    """All conditions of one monitor."""

    __slots__ = (
        "_calm",
        "_certificate",
        "_domains",
        "_down",
        "_partial",
        "_policy",
        "_regions",
        "_simulated",
        "_since",
        "_slow",
        "_streaks",
        "monitor",
    )

    def __init__(self, monitor: str, policy: Policy, regions: Mapping[str, str]) -> None:
        self.monitor = monitor
        self._down = False
        self._since = math.inf
        """Start of the first failure of the suspicion; infinite without one."""
        self._simulated = False
        self._certificate = Certificate()
        self._build(policy, regions)

    def _build(self, policy: Policy, regions: Mapping[str, str]) -> None:
        self._policy = policy
        sizes = Counter(regions.values())
        self._domains = {
            name: Domain(name, Path(policy.interval_s) if size > 1 else None) for name, size in sizes.items()
        }
        self._regions = {name: Region(name, self._domains[domain], policy) for name, domain in regions.items()}
        self._partial = Shift(policy.partial_threshold, self._domains)
        self._slow = Shift(policy.slow_threshold, self._domains)
        self._streaks = None if policy.rule is None else Streaks(policy.rule, regions)
        self._calm = self._plain

    @property
    def _plain(self) -> bool:
        """An unremarkable success would change nothing but counters."""
        return (
            not self._down
            and self._since == math.inf
            and self._streaks is None
            and self._partial.quiet
            and self._slow.quiet
            and self._policy.kind != "heartbeat"
        )

    # -- observing ----------------------------------------------------------------------------------

    def observe(self, seen: Observation) -> Sequence[Signal]:
        """Take in one result; what it begins or ends."""
        region = self._regions.get(seen.region)
        outcome = seen.outcome
        if region is None or outcome is Outcome.UNKNOWN or seen.late:
            return ()
        path = region.path
        at = seen.at
        if at <= path.last:
            return ()
        if self._calm and path.resting and outcome is Outcome.UP and seen.total_ms <= region.latency.bound_ms:
            path.last = at
            path.probes += 1.0
            region.latency.learn(seen.total_ms)
            if seen.cert_days is None or self._certificate_rests(seen.cert_days):
                return ()
        else:
            signals = self._weigh(region, seen)
            self._calm = self._plain
            if seen.cert_days is None:
                return signals
            return [*signals, *self._handshake(seen)]
        return self._handshake(seen)

    def _certificate_rests(self, days: float) -> bool:
        certificate = self._certificate
        if certificate.active or certificate.seen or days <= self._policy.cert_days:
            return False
        certificate.days = days
        return True

    def _handshake(self, seen: Observation) -> list[Signal]:
        if seen.cert_days is None or not self._certificate.add(seen.cert_days, self._policy.cert_days):
            return []
        begun = self._certificate.active
        figures: Evidence = {"cert_days": round(seen.cert_days, 2), "bound_days": self._policy.cert_days}
        rule = "certificate.expires" if begun else "certificate.renewed"
        return [self._signal(Condition.CERTIFICATE, begun, seen, began=seen.at, rule=rule, evidence=figures)]

    def _weigh(self, region: Region, seen: Observation) -> list[Signal]:
        failed = seen.outcome is Outcome.DOWN
        at = seen.at
        if failed != region.run_failed:
            region.run_failed = failed
            region.run_since = at
        if self._policy.kind == "heartbeat":
            region.path.last = at
            return self._decide(failed, seen, "heartbeat.missing" if failed else "heartbeat.came")
        if self._streaks is not None:
            signals = self._by_rule(region, seen, failed, self._streaks)
        elif self._down:
            signals = self._towards_up(region, seen, failed)
        else:
            signals = self._towards_down(region, seen, failed)
        if not failed and not self._down:
            signals += self._latency(region, seen)
        return signals

    def _by_rule(self, region: Region, seen: Observation, failed: bool, streaks: Streaks) -> list[Signal]:
        region.path.last = seen.at
        streaks.add(region.name, failed)
        if streaks.down and not self._down:
            return self._decide(True, seen, "rule.k_of_n")
        if streaks.up and self._down:
            return self._decide(False, seen, "rule.k_of_n")
        return []

    def _decide(self, down: bool, seen: Observation, rule: str) -> list[Signal]:
        """DOWN begins or ends, and what follows from it."""
        if down == self._down:
            return []
        evidence = self.evidence()
        runs = [region.run_since for region in self._regions.values() if region.run_failed == down and region.run_since]
        if down:
            # Who failed long before the others is stuck or in a spell of loss: they still saw the target up.
            latest = max(runs, default=seen.at)
            began = min((run for run in runs if run >= latest - self._policy.interval_s), default=seen.at)
        else:
            # The first success of the run: nothing that an earlier run, from before the outage, has left.
            began = min((run for run in runs if run >= self._since), default=seen.at)
        self._simulated = self._simulated or seen.simulated
        signals = [self._signal(Condition.DOWN, down, seen, began=began, rule=rule, evidence=evidence)]
        self._down = down
        for condition, shift in ((Condition.PARTIAL, self._partial), (Condition.SLOW, self._slow)):
            if shift.active:
                signals.append(
                    self._signal(condition, False, seen, began=began, rule=f"{condition.value}.superseded", evidence={})
                )
            shift.supersede(resume=not down)
        for region in self._regions.values():
            region.rounds = 0
            region.path.forget_pending()
            if not down and region.path.stuck < DISBELIEF:
                region.path.settle()
        for domain in self._domains.values():
            domain.sum = domain.recovery = 0.0
            domain.up_since = math.inf
            if domain.common is not None:
                domain.common.settle()
        self._since = began if down else math.inf
        if not down:
            self._simulated = False
        return signals

    # -- down ---------------------------------------------------------------------------------------

    def _towards_down(self, region: Region, seen: Observation, failed: bool) -> list[Signal]:
        at = seen.at
        path = region.path
        fails = path.fails(at)
        path.update(fails, failed)
        if path.stuck < 0.5:
            shared = self._shared(region.domain, at, failed)
            if failed:
                fails = max(fails, shared)
        partial = partial_evidence(fails, failed)
        if self._partial.active:
            # What has to be told from "down" now is not "up".
            fails = max(fails, PARTIAL_FAILS)
        region.fails = fails
        region.llr = llr = math.log(DOWN_FAILS / fails) if failed else math.log(_UP_SAYS / (1.0 - fails))
        domain = region.domain
        signals: list[Signal] = []
        if path.stuck >= DISBELIEF and self._others_believed(region, at):
            if not any(self._believed(other, at) for other in self._regions.values() if other.domain is domain):
                domain.sum = 0.0
            llr = 0.0
            if self._since == math.inf:
                return signals
        else:
            signals = self._partially(domain, seen, partial)
        if failed:
            self._since = min(self._since, at)
            self._simulated = self._simulated or seen.simulated
        elif self._since == math.inf:
            self._learn(path)
            return signals
        lone = self._lone(at)
        threshold = self._policy.lone_threshold if lone else self._policy.threshold
        cap = threshold if lone else self._policy.cap
        others = any(other.sum > 0.0 for other in self._domains.values() if other is not domain)
        floor = -DISSENT if others and at > self._since else 0.0
        domain.sum = min(max(domain.sum + llr, floor), cap)
        if not others and domain.sum <= 0.0:
            self._rest()
        elif failed and self._total(at) >= threshold:
            return signals + self._decide(True, seen, "detector.alarm.lone" if lone else "detector.alarm")
        return signals

    def _shared(self, domain: Domain, at: float, failed: bool) -> float:
        """Chance of a failure if the domain's regions share their spells of loss; 0 for a domain of one region."""
        common = domain.common
        if common is None:
            return 0.0
        if at <= common.last:
            return common.fails_again()
        fails = common.fails(at)
        common.update(fails, failed)
        return fails

    def _rest(self) -> None:
        """The suspicion is over; the target was up all the time."""
        self._since = math.inf
        self._simulated = False
        for domain in self._domains.values():
            domain.sum = 0.0
            if domain.common is not None:
                domain.common.settle()
        for region in self._regions.values():
            region.rounds = 0
            if region.path.pending_probes:
                self._learn(region.path)

    def _learn(self, path: Path) -> None:
        """Unless the failures may have been the target's: more than one domain says so."""
        if self._partial.doubtful:
            path.forget_pending()
        else:
            path.learn()

    def _total(self, at: float) -> float:
        if at - self._since > max(DISSENT_S, 1.5 * self._policy.interval_s):
            return sum(max(domain.sum, 0.0) for domain in self._domains.values())
        return sum(domain.sum for domain in self._domains.values())

    def _believed(self, region: Region, at: float) -> bool:
        unheard_s = UNHEARD_INTERVALS * self._policy.interval_s + 60.0
        return region.path.stuck < DISBELIEF and at - region.path.last <= unheard_s

    def _others_believed(self, region: Region, at: float) -> bool:
        return any(self._believed(other, at) for other in self._regions.values() if other is not region)

    def _lone(self, at: float) -> bool:
        """Whether one domain alone can be believed."""
        if len(self._domains) == 1:
            return True
        return len({region.domain.name for region in self._regions.values() if self._believed(region, at)}) <= 1

    # -- up again -----------------------------------------------------------------------------------

    def _towards_up(self, region: Region, seen: Observation, failed: bool) -> list[Signal]:
        at = seen.at
        path, domain = region.path, region.domain
        if path.stuck >= DISBELIEF and self._others_believed(region, at):
            path.update(path.fails(at), failed)
            return []
        path.last = at
        usual = path.good_fails + path.bad_share
        region.fails = usual
        region.llr = math.log(DOWN_FAILS / usual) if failed else math.log(_UP_SAYS / (1.0 - usual))
        lone = self._lone(at)
        cap = RECOVERY_THRESHOLD if lone else RECOVERY_THRESHOLD / 2
        others = any(other.recovery > 0.0 for other in self._domains.values() if other is not domain)
        domain.recovery = min(max(domain.recovery - region.llr, -DISSENT if others else 0.0), cap)
        if failed:
            domain.up_since = math.inf
            if not any(other.recovery > 0.0 for other in self._domains.values()):
                for other in self._domains.values():
                    other.recovery = 0.0
            return []
        domain.up_since = min(domain.up_since, at)
        together = sum(other.recovery for other in self._domains.values())
        if together >= RECOVERY_THRESHOLD:
            return self._decide(False, seen, "detector.recovered")
        if at - domain.up_since > max(DISSENT_S, 1.5 * self._policy.interval_s):
            return self._decide(False, seen, "detector.recovered.lone")
        return []

    # -- the other conditions -----------------------------------------------------------------------

    def _partially(self, domain: Domain, seen: Observation, evidence: float) -> list[Signal]:
        shift = self._partial
        began = shift.since
        if not shift.add(domain.name, evidence, seen.at, well=seen.outcome is Outcome.UP, lone=self._lone(seen.at)):
            return []
        figures: Evidence = {"threshold": shift.threshold, "domains": dict(shift.sums)}
        if shift.active:
            return [self._signal(Condition.PARTIAL, True, seen, began=began, rule="partial.alarm", evidence=figures)]
        return [self._signal(Condition.PARTIAL, False, seen, began=seen.at, rule="partial.recovered", evidence=figures)]

    def _latency(self, region: Region, seen: Observation) -> list[Signal]:
        latency, shift = region.latency, self._slow
        over = seen.total_ms > latency.bound_ms
        if not shift.active and not over:
            latency.learn(seen.total_ms)
        began = shift.since
        if not shift.add(region.domain.name, slow_evidence(over), seen.at, well=not over, lone=self._lone(seen.at)):
            return []
        figures: Evidence = {
            "total_ms": seen.total_ms,
            "bound_ms": latency.bound_ms,
            "bound": "learned" if latency.stated_ms is None else "stated",
            "threshold": shift.threshold,
        }
        rule = "slow.learned" if latency.stated_ms is None else "slow.bound"
        if shift.active:
            return [self._signal(Condition.SLOW, True, seen, began=began, rule=rule, evidence=figures)]
        return [self._signal(Condition.SLOW, False, seen, began=seen.at, rule="slow.recovered", evidence=figures)]

    def tick(self, now: float) -> Sequence[Signal]:
        """What only time changes: at present nothing, for silence is no evidence (an agent's own condition is)."""
        return ()

    # -- asked by the engine ------------------------------------------------------------------------

    @property
    def active(self) -> frozenset[Condition]:
        """What stands."""
        flags = (
            (Condition.DOWN, self._down),
            (Condition.PARTIAL, self._partial.active),
            (Condition.SLOW, self._slow.active),
            (Condition.CERTIFICATE, self._certificate.active),
        )
        return frozenset(condition for condition, stands in flags if stands)

    @property
    def doubt(self) -> float:
        """0 to 1: the evidence that it is down, as a part of what an alarm needs."""
        if self._down:
            return 1.0
        if self._streaks is not None:
            return self._streaks.doubt
        if self._since == math.inf:
            return 0.0
        lone = self._lone(max(region.path.last for region in self._regions.values()))
        threshold = self._policy.lone_threshold if lone else self._policy.threshold
        return min(max(sum(domain.sum for domain in self._domains.values()) / threshold, 0.0), 1.0)

    @property
    def suspicious(self) -> bool:
        """A failure was seen, there is no alarm yet, and others have not seen it up: confirmations are worth it."""
        return (
            not self._down
            and self._since < math.inf
            and self._streaks is None
            and sum(domain.sum for domain in self._domains.values()) >= CONFIRM_WORTH
            and any(region.rounds < CONFIRM_ROUNDS for region in self._regions.values())
        )

    def confirmations(self, now: float) -> tuple[str, ...]:
        """Regions that ought to probe at once; they count as asked. To be called every second or so while suspicious.

        One of each domain whose evidence is not exhausted, those first that were not heard since the suspicion began;
        never twice within ``CONFIRM_SPACING_S``, at most ``CONFIRM_ROUNDS`` times in one suspicion.
        """
        if not self.suspicious:
            return ()
        cap = self._policy.lone_threshold if self._lone(now) else self._policy.cap
        wanted: dict[str, Region] = {}
        for region in self._regions.values():
            path = region.path
            if region.rounds >= CONFIRM_ROUNDS or region.domain.sum >= cap or path.stuck >= DISBELIEF:
                continue
            since = path.last if path.last >= self._since else -math.inf
            if now - max(since, region.asked) < CONFIRM_SPACING_S:
                continue
            chosen = wanted.get(region.domain.name)
            if chosen is None or path.last < chosen.path.last:
                wanted[region.domain.name] = region
        for region in wanted.values():
            region.asked = now
            region.rounds += 1
        return tuple(region.name for region in wanted.values())

    def skip(self, region: str, successes: int, until: float) -> None:
        """Many unremarkable successes of a region that rests at once; the last began at ``until``.

        The same as observing each, but for the latency. For virtual time, where most of a year is unremarkable.
        """
        path = self._regions[region].path
        path.last = until
        if path.resting:
            path.probes += successes

    @property
    def calm(self) -> bool:
        """Nothing is suspected, nothing stands, and every path rests: :meth:`skip` is allowed."""
        return self._calm and all(
            region.path.resting or region.path.stuck >= DISBELIEF for region in self._regions.values()
        )

    def evidence(self) -> Evidence:
        """The ledger: what the present judgement rests on. Nats unless a name says otherwise."""
        lone = self._lone(max((region.path.last for region in self._regions.values()), default=0.0))
        threshold = self._policy.lone_threshold if lone else self._policy.threshold
        figures: dict[str, float | int | str | bool | list[Evidence] | Evidence | None] = {
            "threshold": round(threshold, 2),
            "cap": round(threshold if lone else self._policy.cap, 2),
            "total": round(sum(domain.sum for domain in self._domains.values()), 2),
            "lone": lone,
            "domains": [
                {"domain": domain.name, "sum": round(domain.sum, 2), "recovery": round(domain.recovery, 2)}
                for domain in self._domains.values()
            ],
            "regions": [region.ledger() for region in self._regions.values()],
        }
        if self._streaks is not None:
            figures["streaks"] = dict(self._streaks.streaks)
        return figures

    def _signal(
        self, condition: Condition, active: bool, seen: Observation, *, began: float, rule: str, evidence: Evidence
    ) -> Signal:
        at = max(seen.received, seen.at)
        return Signal(
            monitor=self.monitor,
            condition=condition,
            active=active,
            at=at,
            began=min(began, at),  # regions deliver out of each other's order
            rule=rule,
            evidence=evidence,
            simulated=self._simulated or seen.simulated,
        )

    # -- keeping ------------------------------------------------------------------------------------

    def reconfigure(self, policy: Policy, regions: Mapping[str, str]) -> None:
        """Another policy or other regions; what is known of those that stay is kept."""
        state = self._state()
        self._build(policy, regions)
        self._take(state)

    def snapshot(self) -> bytes:
        """Everything that a restart would lose; confirmations that were asked for are not."""
        return msgspec.msgpack.encode(self._state())

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot. One of another format, or no snapshot at all, is ignored: a start from nothing."""
        try:
            state = msgspec.msgpack.decode(data, type=DetectorState)
        except msgspec.DecodeError:
            return
        if state.format == SNAPSHOT:
            self._take(state)

    def _state(self) -> DetectorState:
        streaks = {} if self._streaks is None else self._streaks.streaks
        regions = []
        for region in self._regions.values():
            state = region.state()
            state.partial = self._partial.sums[region.domain.name]
            state.slow = self._slow.sums[region.domain.name]
            state.streak = streaks.get(region.name, 0)
            regions.append(state)
        return DetectorState(
            format=SNAPSHOT,
            active=sorted(condition.value for condition in self.active),
            since=self._since,
            simulated=self._simulated,
            cert_days=self._certificate.days,
            regions=regions,
        )

    def _take(self, state: DetectorState) -> None:
        self._down = Condition.DOWN.value in state.active
        self._partial.active = Condition.PARTIAL.value in state.active
        self._slow.active = Condition.SLOW.value in state.active
        self._certificate.active = Condition.CERTIFICATE.value in state.active
        self._certificate.days = state.cert_days
        self._since = state.since
        self._simulated = state.simulated
        for known in state.regions:
            region = self._regions.get(known.name)
            if region is None:
                continue
            region.take(known, self._policy)
            self._partial.sums[region.domain.name] = min(known.partial, self._partial.threshold)
            self._slow.sums[region.domain.name] = min(known.slow, self._slow.threshold)
            if self._streaks is not None:
                self._streaks.streaks[known.name] = known.streak
        for shift in (self._partial, self._slow):
            shift.quiet = not shift.active and not any(shift.sums.values())
        if not self._down and not any(domain.sum > 0.0 for domain in self._domains.values()):
            self._rest()
        self._calm = self._plain
