"""What clients and providers see of the AI gateway while providers fail."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, Final

import aiohttp

from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CONTROL, GATEWAY, Findings, Setting
from holdfast.drills.gateway_frames import Heard, hear_anthropic, hear_openai
from holdfast.drills.gateway_load import TokenStreams, chat
from holdfast.drills.gateway_service import MODEL, PRICE, Gateway, MockEntry, Provider, request, url
from holdfast.drills.load import Plan, run_plan

GRACE_S: Final = 0.1
"""What was on its way when a deployment said that it is to be left alone."""
PAUSE_S: Final = 4.0
"""What it then asks for."""
SPELL_S: Final = 1.0
"""A flapping deployment is well and ill for so long in turn."""
SILENCE_S: Final = 0.5
"""A deployment that hears nothing for so long, of many requests a second, was taken out of rotation."""
SLOW: Final = "share=0.05,first_token=1s"
WORDS: Final = 6
WELL_EVERY: Final = 100
"""Of streams that are cut, one that is not goes before so many."""
TRUSTING: Final[Mapping[str, Any]] = {"consecutive": 1000, "minimum_volume": 100_000}
"""A deployment that is hardly ever taken out."""
UNPROTECTED: Final[Mapping[str, Any]] = {
    "retry": {"budget_percent": 100.0, "budget_floor_per_s": 10_000.0},
    "health": {**TRUSTING, "damping": False},
}
"""Retries without a budget, deployments that are never taken out."""


class GatewayHolding:
    """``holdfast drill run gateway-holding``."""

    name = "gateway-holding"
    title = "What do clients and providers see of the AI gateway while providers fail, flap, lag and cut streams?"
    packages = GATEWAY

    async def run(self, setting: Setting) -> Findings:
        """Two scripted providers, one fault after the other."""
        found = Findings(control_what="no retry budget, no breaker, no damping; and no hedging")
        with ExitStack() as stack:
            providers = [
                stack.enter_context(Provider(name, setting.directory, seed=setting.seed + number))
                for number, name in enumerate(("left", "right"))
            ]
            for name, section in (("holdfast", {}), (CONTROL, UNPROTECTED)):
                await _outage(found, setting, name, section, providers)
                await _flapping(found, setting, name, section, providers)
                await _hedging(found, setting, name, providers)
            await _cool_down(found, setting, providers)
            await _cuts(found, setting, providers)
            await _cancels(found, setting, providers[0])
        _judge(found)
        return found


def _both(providers: Sequence[Provider]) -> dict[str, dict[str, Any]]:
    return {provider.name: url(provider) for provider in providers}


async def _outage(
    found: Findings, setting: Setting, name: str, section: Mapping[str, Any], providers: Sequence[Provider]
) -> None:
    """Every deployment answers 500."""
    rate, seconds = setting.pick(200, 50), setting.pick(15, 1)
    found.parameters |= {"outage_per_s": rate, "outage_s": seconds}
    setting.progress(f"gateway-holding: {name}: every deployment fails")
    with Gateway(f"outage-{name}", setting.directory, _both(providers), section=section) as gateway:
        for provider in providers:
            await provider.forget()
            await provider.fail("500")
        plan = Plan(
            rate_per_s=rate,
            duration_s=seconds,
            seed=setting.seed,
            request=chat("words=5", model=MODEL),
            deadline_s=20.0,
        )
        result = await run_plan(plan, port=gateway.port)
        found.add(name, "outage_requests", [len(result)])
        found.add(name, "outage_attempts", [(await provider.stats())["requests"] for provider in providers])
        for provider in providers:
            await provider.forget()


async def _flapping(
    found: Findings, setting: Setting, name: str, section: Mapping[str, Any], providers: Sequence[Provider]
) -> None:
    """One deployment fails for a second, is well for a second, and so on."""
    rate, seconds = setting.pick(200, 100), setting.pick(30, 1.5)
    found.parameters |= {"flapping_per_s": rate, "flapping_s": seconds, "spell_s": SPELL_S, "silence_s": SILENCE_S}
    setting.progress(f"gateway-holding: {name}: one deployment flaps")
    with Gateway(f"flapping-{name}", setting.directory, _both(providers), section=section) as gateway:
        flapping = asyncio.create_task(_flap(providers[0]))
        try:
            plan = Plan(rate_per_s=rate, duration_s=seconds, seed=setting.seed, request=chat("words=5", model=MODEL))
            result = await run_plan(plan, port=gateway.port)
        finally:
            flapping.cancel()
            await asyncio.gather(flapping, return_exceptions=True)
        moments = [entry.started for entry in await providers[0].entries()]
        until = result.started + seconds
        found.add(name, "flips", [silences([result.started, *moments, until], SILENCE_S)])
        found.add(name, "flapping_errors", [result.errors()])
        found.add(name, "flapping_requests", [len(result)])
        for provider in providers:
            await provider.forget()


async def _flap(provider: Provider) -> None:
    while True:
        await provider.fail("500")
        await asyncio.sleep(SPELL_S)
        await provider.fail()
        await asyncio.sleep(SPELL_S)


def silences(moments: Sequence[float], least_s: float) -> int:
    """How often nothing came for so long."""
    return sum(after - before >= least_s for before, after in pairwise(sorted(moments)))


async def _hedging(found: Findings, setting: Setting, name: str, providers: Sequence[Provider]) -> None:
    """The deployment that is asked first is slow one time in twenty; the control does not hedge.

    The other one is in the next tier. Side by side in one tier, selection would notice the first slow answer and ask
    the slow deployment so seldom that there is nothing left to hedge.
    """
    rate, seconds = setting.pick(80, 50), setting.pick(30, 1.5)
    found.parameters |= {"hedging_per_s": rate, "hedging_s": seconds, "slow": SLOW}
    setting.progress(f"gateway-holding: {name}: one deployment is slow 5 % of the time")
    tiers = [
        {"provider": provider.name, "model": "mock-small", "price": PRICE, "tier": tier}
        for tier, provider in enumerate(providers)
    ]
    model = {"hedge": {"enabled": name != CONTROL}, "deployments": tiers}
    with Gateway(f"hedge-{name}", setting.directory, _both(providers), model=model) as gateway:
        await providers[0].fail(SLOW)
        streams = TokenStreams(gateway.port)
        await streams.start_many(int(rate * seconds), chat("words=10", model=MODEL, stream=True, once=True), per_s=rate)
        await streams.wait_until_over(within_s=20.0)
        entries = [entry for one in providers for entry in await one.entries()]
        tokens = sum(entry.tokens_in + entry.tokens_out for entry in entries)
        well = [stream for stream in streams.over if stream.ended_well]
        found.add(name, "first_token_ms", [(stream.moments[0] - stream.sent_at) * 1e3 for stream in well])
        found.add(name, "hedging_lost", [len(streams.started) - len(well)])
        found.add(name, "tokens_produced", [tokens])
        found.add(name, "tokens_wanted", [len(streams.started) * _tokens_of_one(entries)])
        for provider in providers:
            await provider.forget()


def _tokens_of_one(entries: Sequence[MockEntry]) -> int:
    return max((entry.tokens_in + entry.tokens_out for entry in entries), default=0)


async def _cool_down(found: Findings, setting: Setting, providers: Sequence[Provider]) -> None:
    """One deployment answers 429 and says when to come back."""
    rate, rounds = 100.0, int(setting.pick(3, 1))
    found.parameters |= {"cool_down_s": PAUSE_S, "cool_down_grace_s": GRACE_S, "cool_down_per_s": rate}
    within, after, errors = [], [], 0
    with Gateway("cool-down", setting.directory, _both(providers)) as gateway:
        for number in range(rounds):
            setting.progress(f"gateway-holding: a deployment asks for a pause, {number + 1} of {rounds}")
            await providers[0].fail(f"count=1,429={PAUSE_S:g}s")
            plan = Plan(
                rate_per_s=rate,
                duration_s=PAUSE_S + 2.0,
                seed=setting.seed + number,
                request=chat("words=5", model=MODEL),
            )
            errors += (await run_plan(plan, port=gateway.port)).errors()
            entries = await providers[0].entries()
            refused = next((entry.started for entry in entries if entry.status == 429), None)
            if refused is None:
                raise DrillError("no request reached the deployment that was to ask for a pause")
            moments = [entry.started - refused for entry in entries if entry.status != 429]
            within.append(sum(GRACE_S <= moment < PAUSE_S for moment in moments))
            after.append(sum(moment >= PAUSE_S for moment in moments))
            await providers[0].forget()
    found.add("holdfast", "asked_in_cool_down", within)
    found.add("holdfast", "asked_after_cool_down", after)
    found.add("holdfast", "cool_down_errors", [errors])


# ---------------------------------------------------------------- streams that are cut


async def _cuts(found: Findings, setting: Setting, providers: Sequence[Provider]) -> None:
    """A recorded answer, cut at every byte, as both kinds of clients hear it, from providers of both protocols."""
    step = int(setting.pick(1, 97))
    malformed, repeated, unended, streams = 0, 0, 0, 0
    provider = providers[0]
    deployments = {
        "openai": {**url(provider), "protocol": "openai"},
        "anthropic": {**url(provider), "protocol": "anthropic"},
    }
    models = {
        protocol: {"deployments": [{"provider": protocol, "model": "mock-small", "price": {"input": 1, "output": 2}}]}
        for protocol in deployments
    }
    section = {
        "models": models,
        "retry": {"attempts": 1},
        "health": TRUSTING,
    }
    with Gateway("cuts", setting.directory, deployments, section=section) as gateway:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{gateway.port}") as session:
            for provided in deployments:
                length = await asyncio.to_thread(_recorded, provider.port, provided)
                for client, hear in (("openai", hear_openai), ("anthropic", hear_anthropic)):
                    setting.progress(f"gateway-holding: {provided} cut at each of {length} bytes for {client}'s client")
                    whole = await _asked(session, client, provided, f"words={WORDS}")
                    if not isinstance(whole, bytes) or hear(whole).ending != "whole":
                        raise DrillError(f"a stream of {provided} for {client}'s client is not whole: {whole!r}")
                    text = hear(whole).text
                    for number, at in enumerate(range(0, length, step)):
                        if number % WELL_EVERY == 0:  # or so many failures in a row take the deployment out
                            await _asked(session, client, provided, f"words={WORDS}")
                        answer = await _asked(session, client, provided, f"words={WORDS},cut={at}")
                        streams += 1
                        if isinstance(answer, int):  # before the commit point: an error as such
                            unended += answer < 400
                            continue
                        heard: Heard = hear(answer)
                        malformed += heard.malformed
                        repeated += heard.repeats(text)
                        unended += heard.ending == "none"
    found.parameters |= {"cut_step_bytes": step}
    for series, value in (("streams", streams), ("malformed", malformed), ("repeated", repeated), ("unended", unended)):
        found.add("holdfast", f"cut_{series}", [value])
    await provider.forget()


def _recorded(port: int, protocol: str) -> int:
    """Bytes of the body that is cut, from the provider itself."""
    path, body = _question(protocol, "mock-small", f"words={WORDS}")
    if protocol == "openai":
        body["stream_options"] = {"include_usage": True}  # as the gateway asks
    status, answer = request(port, "POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    if status != 200:
        raise DrillError(f"the scripted provider answered {status}: {answer[:200]!r}")
    return len(answer)


def _question(protocol: str, model: str, orders: str) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "messages": [{"role": "user", "content": f"Say something [[mock: {orders}]]"}],
    }
    if protocol == "openai":
        return "/v1/chat/completions", body
    return "/v1/messages", {**body, "max_tokens": 100}


async def _asked(session: aiohttp.ClientSession, client: str, model: str, orders: str) -> bytes | int:
    """The stream; the status of an answer that is an error; 0 when the connection broke."""
    path, body = _question(client, model, orders)
    try:
        async with asyncio.timeout(20.0), session.post(path, json=body) as response:
            content = await response.read()
            return content if response.status == 200 else response.status
    except (aiohttp.ClientError, TimeoutError):
        return 0


# ---------------------------------------------------------------- clients that leave


async def _cancels(found: Findings, setting: Setting, provider: Provider) -> None:
    """One client after the other leaves in the middle; the provider says when it noticed."""
    number = int(setting.pick(300, 15))
    setting.progress(f"gateway-holding: {number} clients leave")
    late: list[float] = []
    unseen = 0
    with Gateway("cancels", setting.directory, {provider.name: url(provider)}) as gateway:
        await provider.forget()
        data = chat("words=1000,pace=100", model=MODEL, stream=True, once=True)
        for count in range(number):
            streams = TokenStreams(gateway.port)
            stream = await streams.start(data, wanted=5)
            await streams.wait_until_over(within_s=10.0)
            if stream.cut_at is None:
                raise DrillError("a stream ended before its client had left")
            seen = await _noticed(provider, count)
            unseen += seen is None
            if seen is not None:
                late.append((seen - stream.cut_at) * 1e3)
    found.add("holdfast", "cancel_ms", late)
    found.add("holdfast", "cancel_unseen", [unseen])


async def _noticed(provider: Provider, index: int) -> float | None:
    """When the provider saw that attempt ``index`` was given up; ``None`` if it never did."""
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        entries = await provider.entries()
        if len(entries) > index and entries[index].cancel_seen is not None:
            return entries[index].cancel_seen
        await asyncio.sleep(0.02)
    return None


def _judge(found: Findings) -> None:
    for name in ("holdfast", CONTROL):
        attempts = "sum($outage_attempts) / sum($outage_requests)"
        found.metric(name, "outage_attempts_per_request", attempts, unit="", better="lower")
        found.metric(name, "flips", "sum($flips)", unit="", better="lower")
        found.metric(name, "flapping_errors", "sum($flapping_errors)", unit="", better="lower")
        for share in ("p50", "p99"):
            found.metric(name, f"first_token_{share}_ms", f"{share}($first_token_ms)", unit="ms", better="lower")
        extra = "sum($tokens_produced) / sum($tokens_wanted) - 1"
        found.metric(name, "extra_tokens", extra, unit="ratio", better="lower")
    for series in (
        *("asked_in_cool_down", "cool_down_errors", "hedging_lost"),
        *("cut_malformed", "cut_repeated", "cut_unended", "cancel_unseen"),
    ):
        found.metric("holdfast", series, f"sum(${series})", unit="", better="lower")
    found.metric("holdfast", "cut_streams", "sum($cut_streams)", unit="", better="higher")
    found.metric("holdfast", "cancel_p99_ms", "p99($cancel_ms)", unit="ms", better="lower")
    found.metric("holdfast", "cancel_p50_ms", "p50($cancel_ms)", unit="ms", better="lower")
    found.claim("an outage of all is not made worse", "holdfast.outage_attempts_per_request", "<=", 1.2)
    found.claim("a pause is kept", "holdfast.asked_in_cool_down", "<=", 0, in_quick=True)
    found.claim("clients do not notice it", "holdfast.cool_down_errors", "<=", 0, in_quick=True)
    found.metric(
        "holdfast",
        "first_token_p99_of_unhedged",
        "p99($first_token_ms) / p99(control.first_token_ms)",
        unit="ratio",
        better="lower",
    )
    found.claim("hedging takes most of a late first token away", "holdfast.first_token_p99_of_unhedged", "<=", 0.2)
    found.claim("hedges cost at most 5 % of the tokens", "holdfast.extra_tokens", "<=", 0.05)
    found.claim("no frame is malformed", "holdfast.cut_malformed", "<=", 0, in_quick=True)
    found.claim("no word comes twice", "holdfast.cut_repeated", "<=", 0, in_quick=True)
    found.claim("every stream has an end", "holdfast.cut_unended", "<=", 0, in_quick=True)
    found.claim("a client that leaves is told of at once", "holdfast.cancel_p99_ms", "<=", 50)
    found.claim("and always", "holdfast.cancel_unseen", "<=", 0, in_quick=True)
