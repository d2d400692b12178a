"""Drill ``noise``, the real excerpt: agents in network namespaces, real targets, real faults, real pages.

Three regions watch the targets of a hub, every 2 s. All the time, one in a hundred new connections is lost. On top of
it comes a plan of causes: single targets that answer 503 or nothing for some seconds; spells in which one region loses
nine connections in ten; and one region's egress cut, its way to the engine excepted. Beside Holdfast,
blackbox_exporter in the same namespaces asks the same targets, for Prometheus and Alertmanager.

A page counts for a cause if it names its target while it lasts, or a little later. Any other page about a target is
false: path loss and cuts are nobody's outage.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from holdfast.drills import noise_watchers
from holdfast.drills.errors import DrillError, ProcessFailedError
from holdfast.drills.findings import Findings, Setting
from holdfast.drills.namespaces import Star
from holdfast.drills.noise_watchers import BLACKBOX
from holdfast.drills.process import Child

INTERVAL_S: Final = 2.0
TARGETS: Final = 16
DOMAINS: Final = {"eu": "a", "us": "b", "ap": "c"}
LOST: Final = 10
"""Of a thousand new connections, all the time."""
SPELL_LOST: Final = 900
LATE_S: Final = 10.0
"""So long after its end a page is still about an outage."""
STARTED_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Down:
    """A target does not answer well; seconds from the beginning."""

    since: float
    lasts: float
    target: int
    answer: str = "503"


@dataclass(frozen=True, slots=True)
class Fault:
    """A region's path: ``spell`` of loss, or ``cut``."""

    since: float
    lasts: float
    region: str
    kind: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens."""

    warm_up_s: float
    lasts: float
    downs: Sequence[Down]
    faults: Sequence[Fault]


# Outages keep away from spells and cuts: a peer that already pages falsely about a target would miss its outage.
FULL: Final = Plan(
    warm_up_s=12.0,
    lasts=180.0,
    downs=(
        Down(5, 12, 1),
        Down(20, 12, 2),
        Down(35, 6, 3),
        Down(72, 12, 4, "hang"),
        Down(87, 6, 5),
        Down(126, 6, 6),
        Down(135, 12, 7, "hang"),
    ),
    faults=(
        Fault(45, 8, "ap", "spell"),
        Fault(99, 8, "eu", "spell"),
        Fault(154, 16, "us", "cut"),
    ),
)
QUICK: Final = Plan(
    warm_up_s=4.0,
    lasts=24.0,
    downs=(Down(1, 6, 1),),
    faults=(Fault(9, 4, "ap", "spell"), Fault(14, 6, "us", "cut")),
)


@dataclass(frozen=True, slots=True)
class Page:
    """One message to a person."""

    at: float
    target: int | None
    """``None``: about an agent."""


async def play_excerpt(found: Findings, setting: Setting) -> None:
    """Both watchers through the plan, at the same time. Raises :class:`DrillError`."""
    reason = Star.missing()
    if reason is not None:
        found.notes.append(f"without the real excerpt: {reason}")
        return
    noise_watchers.require_programs()
    plan = QUICK if setting.quick else FULL
    found.parameters |= {
        "excerpt.interval_s": INTERVAL_S,
        "excerpt.targets": TARGETS,
        "excerpt.regions": len(DOMAINS),
        "excerpt.lost_per_mille": LOST,
        "excerpt.spell_lost_per_mille": SPELL_LOST,
        "excerpt.lasts_s": plan.lasts,
    }
    directory = setting.directory / "excerpt"
    for each in (directory, directory / "targets", directory / "seen"):
        each.mkdir()
    with ExitStack() as stack:
        star = stack.enter_context(Star(tuple(DOMAINS), TARGETS))
        found.notes.append("nftables loses and cuts; nothing is delayed")
        argv = [*star.inside(), sys.executable, "-P", "-m", "holdfast.drills.noise_targets", str(directory)]
        children = [Child(argv, log=directory / "targets.log")]
        stack.callback(children[0].stop)
        setting.progress("noise: agents, blackbox_exporter, Prometheus and Alertmanager start in namespaces")
        ours = noise_watchers.holdfast(star, directory / "holdfast", domains=DOMAINS, interval_s=INTERVAL_S)
        children += stack.enter_context(ours)
        children += stack.enter_context(noise_watchers.blackbox(star, directory / BLACKBOX, interval_s=INTERVAL_S))
        await _until_all_ask(directory / "seen", star, children)
        for region in DOMAINS:
            star.lose(region, per_mille=LOST)
        await asyncio.sleep(plan.warm_up_s)
        setting.progress(f"noise: {plan.lasts:.0f} s of {len(plan.downs)} outages, spells of loss and a cut")
        began = time.time()
        await _inject(plan, star, directory / "targets")
        await asyncio.sleep(max(0.0, began + plan.lasts - time.time()))
        ended = [" ".join(child.argv) for child in children if child.over]
        if ended:
            raise ProcessFailedError(f"ended before its time: {ended[0]}")
        _count(found, plan, star, began, directory / "pages.jsonl")
    _judge(found)


async def _until_all_ask(seen: Path, star: Star, children: Sequence[Child]) -> None:
    wanted = {f"{who}-{address}" for who in ("holdfast", BLACKBOX) for address in star.addresses.values()}
    try:
        async with asyncio.timeout(STARTED_WITHIN_S):
            while missing := wanted - {path.name for path in seen.iterdir()}:  # noqa: ASYNC240
                for child in children:
                    if child.over:
                        child.wait_until_listening(0)  # says why it has ended
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise DrillError(f"after {STARTED_WITHIN_S:g} s nothing asks a target from {sorted(missing)}") from None


async def _inject(plan: Plan, star: Star, targets: Path) -> None:
    """Everything at its time."""
    steps: list[tuple[float, Any]] = []
    for down in plan.downs:
        path = targets / star.targets[down.target]
        steps.append((down.since, lambda path=path, down=down: path.write_text(down.answer)))
        steps.append((down.since + down.lasts, path.unlink))
    for fault in plan.faults:
        if fault.kind == "cut":
            steps.append((fault.since, lambda region=fault.region: star.cut(region)))
        else:
            steps.append((fault.since, lambda region=fault.region: star.lose(region, per_mille=SPELL_LOST)))
        steps.append((fault.since + fault.lasts, lambda region=fault.region: star.lose(region, per_mille=LOST)))
    began = time.monotonic()
    for at, act in sorted(steps, key=lambda step: step[0]):
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        await asyncio.to_thread(act)


def pages_of(lines: Sequence[str], targets: Sequence[str]) -> dict[str, list[Page]]:
    """By contender, the pages among what arrived: not what says that something is over."""
    found: dict[str, list[Page]] = {"holdfast": [], BLACKBOX: []}
    for line in lines:
        post = json.loads(line)
        body = post["body"]
        if post["contender"] == BLACKBOX:
            instance = body["groupLabels"]["instance"]
            number = next(number for number, address in enumerate(targets) if f"//{address}:" in instance)
            found[BLACKBOX].append(Page(post["at"], number))
        elif body["event"] in {"opened", "reopened", "flapping"}:
            about_agent = body["incident"]["condition"] == "agent"
            text = " ".join(body["members"]) + body["title"]
            number = next((number for number in range(len(targets)) if f"t{number:02}" in text), -1)
            found["holdfast"].append(Page(post["at"], None if about_agent else number))
    return found


def _count(found: Findings, plan: Plan, star: Star, began: float, arrived: Path) -> None:
    lines = arrived.read_text().splitlines() if arrived.exists() else []
    cuts = [fault for fault in plan.faults if fault.kind == "cut"]
    for name, pages in pages_of(lines, star.targets).items():
        hits = [[page for page in pages if _explains(down, page, began)] for down in plan.downs]
        about_targets = [page for page in pages if page.target is not None]
        false = [page for page in about_targets if not any(_explains(down, page, began) for down in plan.downs)]
        in_cut = [page for page in false if any(0 <= page.at - began - cut.since <= cut.lasts + LATE_S for cut in cuts)]
        delays = [hit[0].at - began - down.since for hit, down in zip(hits, plan.downs, strict=True) if hit]
        found.add(name, "excerpt_causes", [len(plan.downs)])
        found.add(name, "excerpt_found", [len(delays)])
        found.add(name, "excerpt_pages_of_cause", [len(hit) for hit in hits])
        found.add(name, "excerpt_false_pages", [len(false)])
        found.add(name, "excerpt_cut_target_pages", [len(in_cut)])
        found.add(name, "excerpt_agent_pages", [len(pages) - len(about_targets)])
        found.add(name, "excerpt_delay_s", delays)
        found.metric(
            name, "excerpt_recall", "sum($excerpt_found) / sum($excerpt_causes)", unit="ratio", better="higher"
        )
        found.metric(name, "excerpt_pages_per_cause", "mean($excerpt_pages_of_cause)", unit="pages", better="lower")
        found.metric(
            name, "excerpt_most_pages_of_a_cause", "max($excerpt_pages_of_cause)", unit="pages", better="lower"
        )
        for series in ("false_pages", "cut_target_pages"):
            found.metric(name, f"excerpt_{series}", f"sum($excerpt_{series})", unit="pages", better="lower")
        found.metric(name, "excerpt_agent_pages", "sum($excerpt_agent_pages)", unit="pages", better="neither")
        for share in ("p50", "p95"):
            found.metric(name, f"excerpt_delay_{share}_s", f"{share}($excerpt_delay_s)", unit="s", better="lower")
            found.metric(
                name,
                f"excerpt_delay_{share}_intervals",
                f"{share}($excerpt_delay_s) / {INTERVAL_S!r}",
                unit="intervals",
                better="lower",
            )


def _explains(down: Down, page: Page, began: float) -> bool:
    return page.target == down.target and 0 <= page.at - began - down.since <= down.lasts + LATE_S


def _judge(found: Findings) -> None:
    found.claim("real agents: every outage is told of", "holdfast.excerpt_recall", "==", 1, in_quick=True)
    found.claim("... once", "holdfast.excerpt_most_pages_of_a_cause", "<=", 1, in_quick=True)
    found.claim("... and nothing else", "holdfast.excerpt_false_pages", "<=", 0, in_quick=True)
    found.claim(
        "real agents: a region's egress cut, no page about targets",
        "holdfast.excerpt_cut_target_pages",
        "<=",
        0,
        in_quick=True,
    )
    found.claim("... and one about its agent", "holdfast.excerpt_agent_pages", "==", 1, in_quick=True)
