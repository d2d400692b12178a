"""What one request and one token cost, beside LiteLLM and Portkey, and how many streams one process carries."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CONTROL, GATEWAY, Findings, Setting
from holdfast.drills.gateway_load import TokenStreams, chat, lags_ms
from holdfast.drills.gateway_peers import GatewayPeer, installed, request_of
from holdfast.drills.gateway_service import MODEL, Gateway, Provider, resident_bytes, url
from holdfast.drills.load import Plan, run_plan
from holdfast.drills.process import cpu_s

SHORT: Final = "words=5"
LONG: Final = "words=100,pace=200"
"""A stream of a hundred tokens in half a second, each in a segment of its own."""
GUARDED: Final = "guarded"
BARE: Final = "bare"
GUARDS: Final[Mapping[str, Any]] = {
    "guardrails": {
        "default": {
            **dict.fromkeys(("secrets", "emails", "phones", "cards", "ibans"), "redact"),
            "injection": "flag",
        }
    },
}
QUIET: Final[Mapping[str, Any]] = {"log": {"requests": False}}
RATES: Final = {"holdfast": 400.0, "portkey": 100.0, "litellm": 15.0}
"""Requests per second while CPU is weighed: a fraction of what each can do; what is not named here is ours."""
STREAMS: Final = 2000
TOKENS_PER_S: Final = 20.0
PEER_NAMES: Final = ("litellm", "portkey")
HALF: Final = 0.5
KEPT: Final = 0.97
"""Share of the tokens that are due within the time, from which on a pace was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Something that answers, and how it wants to be asked."""

    name: str
    port: int
    pids: Sequence[int]
    peer: GatewayPeer | None = None

    def request(self, orders: str, *, stream: bool = False) -> bytes:
        """The bytes of a request."""
        return request_of(self.peer, orders, stream=stream)

    @property
    def rate_per_s(self) -> float:
        """While CPU is weighed."""
        return RATES.get(self.name, RATES["holdfast"])


class GatewayCost:
    """``holdfast drill run gateway``."""

    name = "gateway"
    title = "What do a request and a token cost through the AI gateway, and how many streams does one process carry?"
    packages = GATEWAY

    async def run(self, setting: Setting) -> Findings:
        """All contenders at one scripted provider, in interleaved rounds; then ours alone with many streams."""
        found = Findings(control_what="the same load on the scripted provider itself, with no gateway in between")
        found.parameters |= {"model": MODEL, "short": SHORT, "stream": LONG, "streams": int(setting.pick(STREAMS, 50))}
        with ExitStack() as stack:
            provider = stack.enter_context(Provider("mock", setting.directory, seed=setting.seed))
            contenders = list(_start(stack, found, setting, provider))
            await _rounds(found, setting, contenders, provider)
            await _latency(found, setting, contenders, provider)
        await _many_streams(found, setting)
        _judge(found)
        return found


def _start(stack: ExitStack, found: Findings, setting: Setting, provider: Provider) -> Iterator[_Asked]:
    """Everybody who takes part, each running until the stack ends."""
    variants: dict[str, Mapping[str, Any]] = {"holdfast": {}, GUARDED: GUARDS, BARE: QUIET}
    for name, section in variants.items():
        setting.progress(f"gateway: starting {name}")
        gateway = Gateway(name, setting.directory, {"mock": url(provider)}, section=section)
        if name == "holdfast":
            starts = []
            for _ in range(int(setting.pick(5, 1))):
                starts.append(gateway.start())
                gateway.stop()
            found.add(name, "start_s", starts)
        stack.enter_context(gateway)
        yield _Asked(name=name, port=gateway.port, pids=gateway.pids)
    peers, notes = installed()
    if setting.quick:
        found.notes.append("a quick run leaves the peers out: they take longer to start than it lasts")
        return
    found.notes += notes
    for make in peers:
        setting.progress(f"gateway: starting {make.name}")
        peer = stack.enter_context(make(provider, setting.directory))
        found.add(make.name, "start_s", [peer.start_s])
        yield _Asked(name=make.name, port=peer.port, pids=peer.pids, peer=peer)


# ---------------------------------------------------------------- CPU and memory


async def _rounds(found: Findings, setting: Setting, contenders: list[_Asked], provider: Provider) -> None:
    rounds, seconds = int(setting.pick(5, 1)), setting.pick(4, 1)
    found.parameters |= {"rounds": rounds, "round_s": seconds}
    cpu_us: dict[tuple[str, str], list[float]] = {}
    cannot: set[tuple[str, str]] = set()
    for number in range(rounds):
        for kind, orders in (("short", SHORT), ("stream", LONG)):
            turn = number % len(contenders)
            for one in contenders[turn:] + contenders[:turn]:
                setting.progress(f"gateway: round {number + 1} of {rounds}, {kind}, {one.name}")
                rate = one.rate_per_s * (1.0 if kind == "short" else 0.25)
                data = one.request(orders, stream=kind == "stream")
                if (one.name, kind) in cannot:
                    continue
                if number == 0:  # connections open, code warm
                    try:
                        await _ask(one, data, rate, setting.pick(1, 0.3), setting.seed)
                    except DrillError as error:
                        if one.peer is None:
                            raise
                        found.notes.append(f"without {kind} answers of {one.name}: {error}")
                        cannot.add((one.name, kind))
                        continue
                before = cpu_s(one.pids)
                count = await _ask(one, data, rate, seconds, setting.seed + number)
                cpu_us.setdefault((one.name, f"cpu_us_{kind}"), []).append((cpu_s(one.pids) - before) * 1e6 / count)
        await provider.forget()
    for (name, series), values in cpu_us.items():
        found.add(name, series, values)
    for one in contenders:
        found.add(one.name, "memory_bytes", [resident_bytes(one.pids)])


async def _ask(one: _Asked, data: bytes, rate_per_s: float, seconds: float, seed: int) -> int:
    """Answers to a load. Raises :class:`DrillError` if one was not given."""
    plan = Plan(rate_per_s=rate_per_s, duration_s=seconds, seed=seed, request=data, deadline_s=30.0)
    result = await run_plan(plan, port=one.port)
    if result.errors():
        raise DrillError(f"{one.name} failed requests: {result.outcomes()}")
    return len(result)


# ---------------------------------------------------------------- added latency


async def _latency(found: Findings, setting: Setting, contenders: list[_Asked], provider: Provider) -> None:
    """Each at half of what its CPU per request allows one core, and the provider alone at the same rate beside it."""
    seconds, rounds = setting.pick(8, 1), int(setting.pick(2, 1))
    direct = _Asked(name=CONTROL, port=provider.port, pids=())
    seen: dict[str, array[float]] = {}
    for number in range(rounds):
        for one in contenders:
            if one.name in (GUARDED, BARE):
                continue
            cost_us = found.metric(one.name, "cpu_us_short", "median($cpu_us_short)", unit="us", better="lower") or 1e6
            rate = min(setting.pick(1500, 200), HALF * 1e6 / cost_us)
            found.parameters[f"half_load_per_s_{one.name}"] = round(rate, 1)
            for which, asked in ((one.name, one), (f"direct_{one.name}", direct)):
                setting.progress(f"gateway: latency, round {number + 1} of {rounds}, {which} at {rate:.0f}/s")
                data = chat(SHORT, model="mock-small") if asked is direct else asked.request(SHORT)
                plan = Plan(rate_per_s=rate, duration_s=seconds, seed=setting.seed + number, request=data)
                result = await run_plan(plan, port=asked.port)
                if result.errors():
                    raise DrillError(f"{which} failed requests: {result.outcomes()}")
                seen.setdefault(which, array("d")).extend(result.service_ms())
        await provider.forget()
    for which, values in seen.items():
        direct_of = which.removeprefix("direct_")
        found.add(direct_of, "latency_ms" if direct_of == which else "direct_ms", values)


# ---------------------------------------------------------------- streams


async def _many_streams(found: Findings, setting: Setting) -> None:
    """All of them through one process; then the same from the provider itself, which is how late the rest is."""
    number, seconds = int(setting.pick(STREAMS, 50)), setting.pick(25, 2)
    tokens = round(TOKENS_PER_S * (seconds + number / 500))  # the first one still runs when the last has long begun
    orders = f"words={tokens},pace={TOKENS_PER_S:g}"
    found.parameters |= {"tokens_per_stream": tokens, "tokens_per_s": TOKENS_PER_S}
    with Provider("paced", setting.directory, seed=setting.seed) as provider:
        data = chat(orders, model=MODEL, stream=True, once=True)
        with Gateway("streams", setting.directory, {"mock": url(provider)}) as gateway:
            setting.progress(f"gateway: {number} streams at {TOKENS_PER_S:g} tokens/s")
            await _stream(found, "holdfast", gateway.port, data, number, seconds, tokens, pids=gateway.pids)
            found.add("holdfast", "stream_memory_bytes", [resident_bytes(gateway.pids)])
        setting.progress(f"gateway: {number} streams without a gateway")
        plain = chat(orders, model="mock-small", stream=True, once=True)
        await _stream(found, CONTROL, provider.port, plain, number, seconds, tokens)


async def _stream(
    found: Findings,
    name: str,
    port: int,
    data: bytes,
    number: int,
    seconds: float,
    tokens: int,
    *,
    pids: Sequence[int] = (),
) -> None:
    streams = TokenStreams(port)
    await streams.start_many(number, data, per_s=500.0)
    before, tokens_before = cpu_s(pids), sum(len(stream.moments) for stream in streams.started)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(seconds * 0.8)  # all of them are open all of this time
    took = loop.time() - began
    used, all_open = cpu_s(pids) - before, streams.open
    passed = sum(len(stream.moments) for stream in streams.started) - tokens_before
    await streams.wait_until_over(within_s=seconds + 60.0)
    found.add(name, "streams_open", [all_open])
    found.add(name, "streams_lost", [number - sum(stream.ended_well for stream in streams.over)])
    found.add(name, "tokens_missing", [number * tokens - sum(len(stream.moments) for stream in streams.over)])
    found.add(name, "tokens_per_s", [passed / took])
    if pids:
        found.add(name, "stream_core_share", [used / took])
        found.add(name, "token_cpu_us", [used * 1e6 / max(1, passed)])
    late = chain.from_iterable(lags_ms(stream.moments, 1 / TOKENS_PER_S, skip=1) for stream in streams.over)
    found.add(name, "token_lag_ms", late)


def _judge(found: Findings) -> None:
    names = sorted({key.split(".", 1)[0] for key in found.samples})
    for name in (name for name in names if f"{name}.cpu_us_short" in found.samples):
        for kind in ("short", "stream"):
            series = f"$cpu_us_{kind}"
            if f"{name}.cpu_us_{kind}" not in found.samples:
                continue
            found.metric(
                name,
                f"cpu_us_{kind}",
                f"median({series})",
                unit="us",
                better="lower",
                low=f"min({series})",
                high=f"max({series})",
            )
        found.metric(name, "memory_bytes", "max($memory_bytes)", unit="B", better="lower")
        if f"{name}.latency_ms" in found.samples:
            for share in ("p50", "p99"):
                added = f"{share}($latency_ms) - {share}($direct_ms)"
                found.metric(name, f"added_{share}_ms", added, unit="ms", better="lower")
        if f"{name}.start_s" in found.samples:
            found.metric(name, "start_s", "median($start_s)", unit="s", better="lower")
    for other in (*PEER_NAMES, BARE):
        ours = GUARDED if other == BARE else "holdfast"
        for kind in ("short", "stream"):
            if f"{other}.cpu_us_{kind}" not in found.samples:
                continue
            ratio = f"$cpu_us_{kind} / samples.{other}.cpu_us_{kind}"
            found.metric(
                ours,
                f"cpu_ratio_{other}_{kind}",
                f"median({ratio})",
                unit="",
                better="lower",
                low=f"min({ratio})",
                high=f"max({ratio})",
            )
    _judge_streams(found)
    for peer, most in (("litellm", 0.05), ("portkey", 0.2)):
        for kind in ("short", "stream"):
            metric = f"holdfast.cpu_ratio_{peer}_{kind}"
            if metric in found.metrics:
                found.claim(f"at most {most:g} of {peer}'s CPU, {kind}", metric, "<=", most)
    for kind in ("short", "stream"):
        metric = f"{GUARDED}.cpu_ratio_{BARE}_{kind}"
        found.claim(f"guardrails and the request log cost at most 0.3 of a {kind} one", metric, "<=", 1.3)
    found.claim("adds less than a millisecond", "holdfast.added_p50_ms", "<", 1.0)
    found.claim("adds less than three at p99", "holdfast.added_p99_ms", "<", 3.0)
    found.claim("less than 80 MB", "holdfast.memory_bytes", "<", 80e6)
    found.claim("starts in less than 2 s", "holdfast.start_s", "<", 2.0)
    found.claim("2,000 streams at once", "holdfast.streams_open", ">=", STREAMS)
    found.claim("one core carries them at their pace", "holdfast.core_share_at_pace", "<=", 1.0)
    found.claim("tokens are on time", "holdfast.token_lag_p99_ms", "<=", 100.0)
    found.claim("none of them is lost", "holdfast.streams_lost", "<=", 0, in_quick=True)
    found.claim("no token is lost", "holdfast.tokens_missing", "<=", 0, in_quick=True)


def _judge_streams(found: Findings) -> None:
    for name in ("holdfast", CONTROL):
        found.metric(name, "streams_lost", "sum($streams_lost)", unit="", better="lower")
        found.metric(name, "tokens_missing", "sum($tokens_missing)", unit="", better="lower")
        found.metric(name, "token_lag_p99_ms", "p99($token_lag_ms)", unit="ms", better="lower")
        pace = f"sum($tokens_per_s) / (sum($streams_open) * {TOKENS_PER_S:g})"
        found.metric(name, "pace_kept", pace, unit="ratio", better="higher")
    found.metric("holdfast", "streams_open", "sum($streams_open)", unit="", better="higher")
    found.metric("holdfast", "stream_core_share", "sum($stream_core_share)", unit="", better="lower")
    found.metric("holdfast", "token_cpu_us", "sum($token_cpu_us)", unit="us", better="lower")
    at_pace = f"sum($token_cpu_us) * {STREAMS * TOKENS_PER_S:g} / 1000000"
    found.metric("holdfast", "core_share_at_pace", at_pace, unit="", better="lower")
    found.metric("holdfast", "stream_memory_bytes", "sum($stream_memory_bytes)", unit="B", better="lower")
    alone = found.control_metrics["pace_kept"].value
    if alone is None or alone < KEPT:
        found.notes.append(
            "provider and client did not keep the pace without a gateway: the lag of tokens says nothing"
        )
