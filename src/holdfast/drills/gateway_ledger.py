"""Whether the gateway's books are those of its providers, whatever dies or leaves in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from random import Random
from typing import Any, Final

import msgspec

from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CONTROL, GATEWAY, Findings, Setting
from holdfast.drills.gateway_books import Books, balance, owed, read_rows, reports
from holdfast.drills.gateway_load import TokenStreams, chat
from holdfast.drills.gateway_service import MODEL, Gateway, MockEntry, Provider, url
from holdfast.drills.load import OpenLoop, Plan
from holdfast.gateway.core.deployments import deployments_of
from holdfast.gateway.core.limits import LimitTable
from holdfast.gateway.core.settings import GatewaySettings
from holdfast.gateway.shell.ledger import MoneyLedger, PriceList, Reconciled, read_catalogue
from holdfast.gateway.shell.ledger.prices import Offer
from holdfast.store import StoreSettings, open_database

FAULTS: Final = ("share=0.04,500", "share=0.04,first_token=400ms", "share=0.03,cut=900", "share=0.02,429")
LEAVE: Final = 0.2
"""Share of streams whose client leaves in the middle."""
BUDGET_USD: Final = 0.05
AT_ONCE: Final = 1000


class GatewayLedger:
    """``holdfast drill run gateway-ledger``."""

    name = "gateway-ledger"
    title = "Are the gateway's books those of its providers, whatever dies or leaves in between?"
    packages = GATEWAY

    async def run(self, setting: Setting) -> Findings:
        """Kills under load, then a budget that many want at once."""
        found = Findings(
            control_what="books that know only of answers that ended as they should; and the same rush without a budget"
        )
        with ExitStack() as stack:
            providers = [
                stack.enter_context(Provider(name, setting.directory, seed=setting.seed + number))
                for number, name in enumerate(("left", "right"))
            ]
            await _kills(found, setting, providers)
            for provider in providers:
                await provider.forget()
            for name, limit in (("holdfast", {"daily_usd": BUDGET_USD}), (CONTROL, {})):
                await _budget(found, setting, name, limit, providers[0])
        _judge(found)
        return found


# ---------------------------------------------------------------- kills


async def _kills(found: Findings, setting: Setting, providers: Sequence[Provider]) -> None:
    seconds, kills = setting.pick(60, 5), int(setting.pick(6, 1))
    found.parameters |= {"kills": kills, "seconds": seconds, "leave": LEAVE, "faults": "; ".join(FAULTS)}
    gateway = Gateway(
        "kills",
        setting.directory,
        {provider.name: url(provider) for provider in providers},
        model={"hedge": {"enabled": True}},
    )
    for provider in providers:
        await provider.fail(*FAULTS)
    with gateway:
        load = asyncio.create_task(_short(setting, gateway.port, seconds))
        streaming = asyncio.create_task(_streamed(setting, gateway.port, seconds))
        try:
            for number in range(kills):
                await asyncio.sleep(seconds / (kills + 1))
                setting.progress(f"gateway-ledger: kill -9, {number + 1} of {kills}")
                gateway.kill()
                await asyncio.to_thread(gateway.start)
            asked = await load + await streaming
        finally:
            load.cancel()
            streaming.cancel()
            await asyncio.gather(load, streaming, return_exceptions=True)
        for provider in providers:
            await provider.wait_until_idle()
    entries = [entry for provider in providers for entry in await provider.entries()]
    store = gateway.directory / "drill.db"
    before = balance(entries, read_rows(store))
    setting.progress("gateway-ledger: reconciling")
    reconciled = await _reconcile(gateway, entries)
    rows = read_rows(store)
    after = balance(entries, rows)
    found.add("holdfast", "asked", [asked])
    for when, books in (("before", before), ("after", after)):
        _put(found, when, books)
    found.add("holdfast", "reconciled", [reconciled.changed])
    found.add("holdfast", "unpriced", [len(reconciled.unpriced)])
    found.add("holdfast", "hedged", [sum(row.hedge for row in rows)])
    for outcome, amount in after.off_by_outcome.items():
        found.add("holdfast", f"off_nano_after.{outcome}", [amount])
    for outcome in sorted({row.outcome for row in rows}):
        found.add("holdfast", f"outcome.{outcome}", [sum(row.outcome == outcome for row in rows)])
    naive = balance(entries, [row for row in rows if row.outcome == "ok"])
    found.add(CONTROL, "missing", [naive.missing])
    found.add(CONTROL, "off_nano", [abs(naive.owed_nano - naive.charged_nano)])


def _put(found: Findings, when: str, books: Books) -> None:
    for series in (
        *("served", "missing", "twice", "orphans"),
        *("off_nano", "off_orphans_nano", "off_ended_nano", "off_tokens", "charged_nano", "owed_nano"),
    ):
        found.add("holdfast", f"{series}_{when}", [getattr(books, series)])


async def _short(setting: Setting, port: int, seconds: float) -> int:
    """Whole answers; what fails while the gateway is dead is part of the drill."""
    plan = Plan(
        rate_per_s=60.0,
        duration_s=seconds,
        seed=setting.seed,
        request=chat("words=20", model=MODEL, max_tokens=100),
        deadline_s=15.0,
    )
    return len(await OpenLoop(plan, "127.0.0.1", port).run())


async def _streamed(setting: Setting, port: int, seconds: float) -> int:
    """Streams of half a second, some of which are left."""
    rng = Random(f"{setting.seed}/leave")
    streams = TokenStreams(port)
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    data = chat("words=30,pace=60", model=MODEL, stream=True, max_tokens=100, once=True)
    count = 0
    while loop.time() < until:
        await asyncio.sleep(rng.expovariate(20.0))
        try:
            await streams.start(data, wanted=rng.randrange(1, 25) if rng.random() < LEAVE else 0)
        except DrillError:
            continue  # the gateway is dead
        count += 1
    await streams.wait_until_over(within_s=15.0)
    return count


async def _reconcile(gateway: Gateway, entries: Sequence[MockEntry]) -> Reconciled:
    """What the provider says takes the place of what orphans were charged with."""
    settings = msgspec.convert(gateway.section, GatewaySettings, strict=False)
    prices = PriceList(await read_catalogue())
    prices.load(
        {
            name: Offer(provider=each.provider, model=each.model, price=each.price)
            for name, each in deployments_of(settings).items()
        }
    )
    async with await open_database(StoreSettings(url=gateway.store)) as database:
        ledger = MoneyLedger(settings.ledger, database, LimitTable(settings.limits), prices)
        await ledger.open()
        try:
            return await ledger.reconcile(reports(entries, read_rows(gateway.directory / "drill.db")))
        finally:
            await ledger.close()


# ---------------------------------------------------------------- a budget


async def _budget(found: Findings, setting: Setting, name: str, limit: dict[str, Any], provider: Provider) -> None:
    """Many want it in the same moment; a second rush when the first has been settled."""
    count = int(setting.pick(AT_ONCE, 300))
    found.parameters |= {"budget_usd": BUDGET_USD, "at_once": count, "rushes": 2}
    setting.progress(f"gateway-ledger: {name}: {count} at once want a budget")
    await provider.forget()
    outcomes: dict[str, int] = {}
    section = {"health": {"consecutive": 1000, "minimum_volume": 100_000}}
    gateway = Gateway(f"budget-{name}", setting.directory, {provider.name: url(provider)}, limit=limit, section=section)
    with gateway:
        data = chat("words=50,first_token=1s", model=MODEL, max_tokens=100)
        for rush in range(2):
            plan = Plan(
                rate_per_s=count * 4.0, duration_s=0.25, arrivals="constant", seed=setting.seed + rush, request=data
            )
            result = await OpenLoop(plan, "127.0.0.1", gateway.port).run()
            for outcome, times in result.outcomes().items():
                outcomes[outcome] = outcomes.get(outcome, 0) + times
        most = (await provider.stats())["most_in_flight"]
    entries = await provider.entries()
    rows = read_rows(gateway.directory / "drill.db")
    found.add(name, "spent_nano", [sum(owed(entry) for entry in entries)])
    found.add(name, "budget_nano", [round(BUDGET_USD * 1e9)])
    found.add(name, "settled_nano", [sum(row.cost or 0 for row in rows)])
    found.add(name, "short_reservations_nano", [sum(max(0, (row.cost or 0) - row.reserved) for row in rows)])
    found.add(name, "most_in_flight", [most])
    found.add(name, "answered", [outcomes.get("ok", 0)])
    found.add(name, "refused", [sum(times for outcome, times in outcomes.items() if outcome.startswith("status 4"))])
    found.add(
        name, "failed", [sum(times for what, times in outcomes.items() if what != "ok" and "status 4" not in what)]
    )


def _judge(found: Findings) -> None:
    for series in ("missing_after", "twice_after", "orphans_before", "served_after", "off_tokens_before"):
        found.metric("holdfast", series.removesuffix("_after"), f"sum(${series})", unit="", better="lower")
    for when in ("before", "after"):
        for series in ("off_nano", "off_orphans_nano", "off_ended_nano"):
            found.metric("holdfast", f"{series}_{when}", f"sum(${series}_{when})", unit="n$", better="lower")
        share = f"sum($off_nano_{when}) / sum($owed_nano_{when})"
        found.metric("holdfast", f"off_share_{when}", share, unit="ratio", better="lower")
    found.metric(CONTROL, "missing", "sum($missing)", unit="", better="lower")
    for name in ("holdfast", CONTROL):
        spent = "sum($spent_nano) / sum($budget_nano)"
        found.metric(name, "spent_of_budget", spent, unit="ratio", better="lower")
        found.metric(name, "most_in_flight", "max($most_in_flight)", unit="", better="higher")
        found.metric(name, "failed", "sum($failed)", unit="", better="lower")
    found.metric("holdfast", "short_reservations_nano", "sum($short_reservations_nano)", unit="n$", better="lower")
    found.metric(
        "holdfast", "settled_against_spent", "sum($settled_nano) - sum($spent_nano)", unit="n$", better="lower"
    )
    found.claim("every attempt is in the books", "holdfast.missing", "<=", 0, in_quick=True)
    found.claim("none is twice", "holdfast.twice", "<=", 0, in_quick=True)
    found.claim(
        "what orphans cost is what the provider says", "holdfast.off_orphans_nano_after", "<=", 0, in_quick=True
    )
    found.claim("and so is what all others cost", "holdfast.off_nano_after", "<=", 0)
    found.claim("no budget is overspent", "holdfast.spent_of_budget", "<=", 1.0, in_quick=True)
