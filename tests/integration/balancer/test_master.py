"""The master with real worker processes that speak the protocol."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.balancer.core.settings import (
    BackendSettings,
    DiscoverySettings,
    HealthSettings,
    PoolSettings,
    RouteSettings,
)
from holdfast.balancer.errors import AddressError, DiscoveryError
from holdfast.balancer.shell.discovery import Answer
from holdfast.balancer.shell.workers import RestartPolicy
from holdfast.kernel import Duration
from tests.integration.balancer.harness import EndedError, Running, backend, settings

Start = Callable[..., Any]
LABELS = ("worker", "pool", "backend", "code", "rule")


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function to its end; asyncio's own debug mode off, a deadline on."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(bounded())


async def sample(running: Running, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one metric by label values."""
    answer = await running.ask("GET", "/metrics")
    assert answer.status == 200
    return {
        tuple(found.labels[label] for label in LABELS if label in found.labels): found.value
        for family in text_string_to_metric_families(answer.body.decode())
        for found in family.samples
        if found.name == name
    }


def state_of(running: Running, backend: str) -> str:
    """The state of a backend of pool ``web``."""
    return next(each.state for each in running.master.snapshot()["web"].backends if each.id == backend)


def test_ready_comes_with_real_ports_once_every_worker_listens(start: Start) -> None:
    """Port 0 becomes one port that all workers are told."""

    async def scenario() -> None:
        async with start(settings(workers=3)) as running:
            address = running.front
            assert not address.endswith(":0")
            told = running.heard("configure")
            assert len(told) == 3
            assert all(line["listen"] == [address] for line in told)
        assert running.task.result() == 0
        assert len(running.heard("drain")) == 3

    run(scenario)


def test_an_address_in_use_fails_before_any_worker_starts(start: Start) -> None:
    """The error names the address and the remedy, and exits with 2."""

    async def scenario() -> None:
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(AddressError, match=rf"127\.0\.0\.1:{port}: .*in use; stop what uses it") as caught:
                async with start(settings(listen=(f"127.0.0.1:{port}",))):
                    pass
            assert caught.value.exit_code == 2

    run(scenario)


def test_what_one_worker_sees_changes_the_views_of_all(start: Start) -> None:
    """Five refused connections take a backend out in every worker, with an event that says why."""

    async def scenario() -> None:
        async with start() as running:

            def out() -> bool:
                return all(
                    any(
                        ["web", "a", 0.0, "open"] in line["views"]
                        for line in running.heard("views")
                        if line["pid"] == pid
                    )
                    for pid in {line["pid"] for line in running.heard("configure")}
                )

            await running.until(out)
            transition = next(e for e in running.master.events.since(None) if e.kind == "transition")
            assert transition.data["rule"] == "outlier.consecutive"
            assert transition.data["figures"]["sound_peers"] == 1
            assert await sample(running, "holdfast_ejections_total") == {("web", "a", "outlier.consecutive"): 1.0}
            assert await sample(running, "holdfast_flips_total") == {("web", "a"): 1.0, ("web", "b"): 0.0}

    run(scenario)


def test_a_worker_that_dies_is_replaced_and_its_successor_starts_with_the_views(start: Start) -> None:
    """The others stay, and merged counters do not go back."""

    async def scenario() -> None:
        async with start() as running:
            before = (await sample(running, "holdfast_requests_total"))[("web", "a", "200")]
            assert before == 14.0
            pids = {line["pid"] for line in running.heard("configure")}
            victim = min(pids)
            os.kill(victim, signal.SIGKILL)

            def successor() -> int | None:
                return next((line["pid"] for line in running.heard("views") if line["pid"] not in pids), None)

            newcomer = await running.until(successor)
            first = next(line for line in running.heard("views") if line["pid"] == newcomer)
            assert {(p, b) for p, b, *_ in first["views"]} == {("web", "a"), ("web", "b")}
            await running.until(lambda: len(running.master._crew.serving()) == 2)
            assert (await sample(running, "holdfast_requests_total"))[("web", "a", "200")] == before + 7
            assert (await sample(running, "holdfast_in_flight"))[("web", "a")] == 6.0
            assert await sample(running, "holdfast_worker_restarts_total") == {(): 1.0}

    run(scenario)


def test_a_worker_that_never_lives_makes_the_master_give_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded number of starts the exit code is 1, so that whoever runs the master sees it."""
    monkeypatch.setenv("STUB_MODE", "crash")

    async def scenario() -> None:
        with pytest.raises(EndedError, match="1"):
            async with start(restarts=RestartPolicy(first_s=0.001, longest_s=0.002, attempts=3)):
                pass

    run(scenario)


def test_a_silent_worker_is_stale_and_does_not_fail_the_scrape(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last answer counts, and the exposition names it."""
    monkeypatch.setenv("STUB_MODE", "silent")

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            assert await sample(running, "holdfast_worker_stale") == {("0",): 0.0}
            assert await sample(running, "holdfast_worker_stale") == {("0",): 1.0}
            assert await sample(running, "holdfast_requests_total") == {("web", "a", "200"): 7.0}

    run(scenario)


def test_a_hung_worker_is_replaced(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stays silent long enough is killed; it would keep its share of new connections waiting."""
    monkeypatch.setenv("STUB_MODE", "silent")
    monkeypatch.setattr("holdfast.balancer.shell.crew.ASK_DEADLINE_S", 0.05)

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            first = running.heard("configure")[0]["pid"]
            for _ in range(6):
                await running.master.metrics()
            await running.until(lambda: [e for e in running.master.events.since(None) if e.kind == "worker"])
            await running.until(lambda: running.heard("configure")[-1]["pid"] != first)

    run(scenario)


def test_a_reload_reaches_every_worker_before_it_is_answered(start: Start) -> None:
    """Pools are added and removed, and the health of what stays survives."""

    async def scenario() -> None:
        async with start() as running:
            await running.until(lambda: state_of(running, "a") == "open")
            pools = {
                **settings().pools,
                "api": PoolSettings(backends=(BackendSettings(id="x", url="http://127.0.0.1:9"),)),
            }
            running.next_settings(settings(pools=pools))
            answer = await running.ask("POST", "/admin/reload")
            assert (answer.status, answer.json()) == (200, {"generation": 2})
            latest = [line for line in running.heard("configure") if line["generation"] == 2]
            assert [line["pools"] for line in latest] == [["api", "web"]] * 2
            assert state_of(running, "a") == "open"
            assert "api" in running.master.snapshot()
            assert await sample(running, "holdfast_config_generation") == {(): 2.0}

            running.next_settings(settings())
            os.kill(os.getpid(), signal.SIGHUP)
            await running.until(lambda: "api" not in running.master.snapshot())

    run(scenario)


def test_an_invalid_configuration_changes_nothing(start: Start) -> None:
    """The answer is 400 with the text of the error; SIGHUP only logs it."""

    async def scenario() -> None:
        async with start() as running:
            running.next_settings(AddressError("unknown key 'wokers'", where="holdfast.yaml", remedy="remove it"))
            answer = await running.ask("POST", "/admin/reload")
            assert answer.status == 400
            assert "unknown key 'wokers'" in answer.json()["error"]
            running.next_settings(settings(listen=("127.0.0.1:1",)))
            answer = await running.ask("POST", "/admin/reload")
            assert (answer.status, answer.json()["where"]) == (400, "balancer.listen")
            assert {line["generation"] for line in running.heard("configure")} == {1}

    run(scenario)


def test_a_configuration_that_a_worker_refuses_is_taken_back_everywhere(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All workers return to the old settings under a new generation."""
    monkeypatch.setenv("STUB_MODE", "refuse")

    async def scenario() -> None:
        async with start() as running:
            running.next_settings(settings(drain_timeout=Duration(13.0), pools={"other": PoolSettings()}))
            answer = await running.ask("POST", "/admin/reload")
            assert (answer.status, answer.json()["error"]) == (400, "no such certificate")
            assert set(running.master.snapshot()) == {"web"}
            last = [line for line in running.heard("configure") if line["generation"] == 3]
            assert [line["pools"] for line in last] == [["web"], ["web"]]

    run(scenario)


def test_a_worker_that_does_not_take_a_configuration_is_replaced(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its successor starts with the new one, and only then the reload is answered."""
    monkeypatch.setenv("STUB_MODE", "deaf")
    monkeypatch.setattr("holdfast.balancer.shell.crew.APPLY_DEADLINE_S", 0.1)

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            (first,) = {line["pid"] for line in running.heard("configure")}
            assert await running.master.reload() == 2
            assert running.heard("configure")[-1]["pid"] != first
            assert running.heard("configure")[-1]["generation"] == 2

    run(scenario)


def test_a_reload_that_leaves_workers_behind_says_so(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings are accepted, but the answer is 503: nobody should believe that all is well."""
    monkeypatch.setattr("holdfast.balancer.shell.master.APPLY_DEADLINE_S", 0.05)

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            monkeypatch.setenv("STUB_MODE", "crash")
            running.next_settings(settings(workers=2))
            answer = await running.ask("POST", "/admin/reload")
            assert (answer.status, answer.json()["where"]) == (503, "workers")
            monkeypatch.delenv("STUB_MODE")
            await running.until(lambda: len(running.master._crew.serving()) == 2)

    run(scenario)


def test_reading_a_configuration_has_a_deadline(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that hangs does not hang the admin plane."""
    monkeypatch.setattr("holdfast.balancer.shell.master.READ_DEADLINE_S", 0.05)
    released = threading.Event()

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            running.master._read_settings = lambda: (released.wait(10), settings(workers=1))[1]
            answer = await running.ask("POST", "/admin/reload")
            assert (answer.status, answer.json()["where"]) == (400, "configuration")
            released.set()

    run(scenario)


def test_the_number_of_workers_follows_a_reload(start: Start) -> None:
    """More are started, fewer are drained, and down and up again works."""

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            for workers in (3, 1, 2):
                running.next_settings(settings(workers=workers))
                await running.master.reload()
                await running.until(lambda n=workers: len(running.master._crew.serving()) == n)
            assert len(running.heard("drain")) == 2
            assert await sample(running, "holdfast_worker_restarts_total") == {(): 0.0}

    run(scenario)


def test_a_worker_that_ignores_the_drain_is_killed_in_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The master leaves with 0 after its drain timeout and a second."""
    monkeypatch.setenv("STUB_MODE", "stubborn")
    monkeypatch.setattr("holdfast.balancer.shell.crew.DRAIN_GRACE_S", 0.0)

    async def scenario() -> None:
        async with start(settings(drain_timeout=Duration(0.1))) as running:
            os.kill(os.getpid(), signal.SIGTERM)
            assert await running.task == 0

    run(scenario)


def test_a_second_signal_ends_the_drain_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code then says that something was cut."""
    monkeypatch.setenv("STUB_MODE", "stubborn")

    async def scenario() -> None:
        async with start(settings(drain_timeout=Duration(1000.0))) as running:
            os.kill(os.getpid(), signal.SIGTERM)
            await running.until(lambda: running.heard("drain"))
            ready = await running.ask("GET", "/readyz")
            assert (ready.status, ready.json()["draining"]) == (503, True)
            os.kill(os.getpid(), signal.SIGINT)
            assert await running.task == 1

    run(scenario)


def test_active_checks_run_and_reach_the_workers(start: Start) -> None:
    """A backend that starts failing its checks goes out, and comes back with them."""

    async def scenario() -> None:
        status = [200]
        async with backend(status) as url, backend([200]) as other:
            pool = PoolSettings(
                backends=(BackendSettings(id="x", url=url), BackendSettings(id="y", url=other)),
                health=HealthSettings(interval=Duration(0.02)),
            )
            async with start(settings(pools={"live": pool}, workers=1)) as running:
                status[0] = 503
                await running.until(
                    lambda: any(["live", "x", 0.0, "down"] in v["views"] for v in running.heard("views"))
                )
                status[0] = 204
                await running.until(lambda: any(v[1] == "x" and v[2] > 0 for v in running.heard("views")[-1]["views"]))

    run(scenario)


class ScriptedResolver:
    """Answers what it is told to, without a TTL to wait for."""

    def __init__(self) -> None:
        self.addresses: tuple[str, ...] = ()
        self.failures = 0

    async def resolve(self, host: str) -> Answer:
        """An answer that is stale at once, or an error."""
        if not self.addresses:
            self.failures += 1
            raise DiscoveryError("does not resolve", where=host, remedy="wait")
        return Answer(self.addresses, 0.0)


def test_discovered_backends_reach_the_workers_and_outlive_the_name(start: Start) -> None:
    """A name that stops resolving empties no pool."""

    async def scenario() -> None:
        resolver = ScriptedResolver()
        resolver.addresses = ("127.0.0.1", "::1")
        found = DiscoverySettings(dns="backends.test:9", min_interval=Duration(0.01))
        pool = PoolSettings(discovery=found, health=HealthSettings(enabled=False))
        async with start(settings(pools={"dyn": pool}, workers=1), resolver=resolver) as running:
            both = ["backends.test-127.0.0.1-9", "backends.test-::1-9"]
            assert running.heard("configure")[-1]["discovered"] == both
            assert [s.url for s in running.master.snapshot()["dyn"].backends] == [
                "http://127.0.0.1:9",
                "http://[::1]:9",
            ]
            resolver.addresses = ("127.0.0.2",)
            await running.until(lambda: running.heard("configure")[-1]["discovered"] == ["backends.test-127.0.0.2-9"])
            resolver.addresses = ()
            await running.until(lambda: resolver.failures >= 2)
            assert len(running.master.snapshot()["dyn"].backends) == 1

    run(scenario)


def test_workers_start_with_the_backends_of_every_name(start: Start) -> None:
    """The start waits for all names, as their first requests come at once."""

    class OneIsSlow(ScriptedResolver):
        async def resolve(self, host: str) -> Answer:
            await asyncio.sleep(0.2 if host == "slow.test" else 0.0)
            return Answer(("127.0.0.1",), 60.0)

    async def scenario() -> None:
        pools = {
            name: PoolSettings(discovery=DiscoverySettings(dns=f"{name}.test:9"), health=HealthSettings(enabled=False))
            for name in ("quick", "slow")
        }
        routes = (RouteSettings(pool="quick"),)
        async with start(settings(pools=pools, routes=routes, workers=1), resolver=OneIsSlow()) as running:
            first = running.heard("configure")[0]
            assert first["discovered"] == ["quick.test-127.0.0.1-9", "slow.test-127.0.0.1-9"]

    run(scenario)


def test_discovered_backends_that_were_refused_are_tried_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers refuse a configuration for reasons of their own; the addresses are not forgotten over it."""
    monkeypatch.setenv("STUB_MODE", "refuse")
    monkeypatch.setattr("holdfast.balancer.shell.master.DISCOVERY_RETRY_S", 0.05)

    async def scenario() -> None:
        resolver = ScriptedResolver()
        resolver.addresses = ("127.0.0.1",)
        found = DiscoverySettings(dns="backends.test:9", min_interval=Duration(0.01))
        pools = {"dyn": PoolSettings(discovery=found, health=HealthSettings(enabled=False))}
        first = settings(pools=pools, workers=1, drain_timeout=Duration(13))
        async with start(first, resolver=resolver) as running:
            resolver.addresses = ("127.0.0.2",)
            await running.until(lambda: len(running.heard("configure")) >= 3)
            assert [backend.id for backend in running.master.snapshot()["dyn"].backends] == [
                "backends.test-127.0.0.1-9"
            ]
            running.next_settings(settings(pools=pools, workers=1))
            await running.master.reload()
            await running.until(lambda: running.heard("configure")[-1]["discovered"] == ["backends.test-127.0.0.2-9"])
            await running.until(lambda: running.master.snapshot()["dyn"].backends[0].url == "http://127.0.0.2:9")

    run(scenario)


def test_a_switched_strategy_reaches_workers_and_outlives_reload_and_restart(start: Start) -> None:
    """Workers that start later are configured with it."""

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            answer = await running.ask("POST", "/admin/strategy", {"pool": "web", "strategy": "round_robin"})
            assert (answer.status, answer.json()) == (200, {"web": "round_robin"})
            await running.until(lambda: running.heard("switch"))
            await running.master.reload()
            assert running.heard("configure")[-1]["strategies"] == {"web": "round_robin"}
            assert (await running.ask("GET", "/admin/strategy")).json() == {"web": "round_robin"}
            missing = await running.ask("POST", "/admin/strategy", {"pool": "nope", "strategy": "p2c"})
            assert (missing.status, missing.json()["remedy"]) == (404, "use one of: web")

    run(scenario)


def test_the_exposition_has_every_metric_of_the_catalogue(start: Start) -> None:
    """Also those that nothing was counted for yet, so that alerts on them can be written."""
    from holdfast.balancer.shell.metrics import CATALOGUE

    async def scenario() -> None:
        async with start() as running:
            text = (await running.ask("GET", "/metrics")).body.decode()
            for name in CATALOGUE:
                assert f"# TYPE {name} " in text

    run(scenario)


def test_events_can_be_read_on_after_a_break(start: Start) -> None:
    """``Last-Event-ID`` resumes the stream behind what was seen."""

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            await running.until(lambda: state_of(running, "a") == "open")
            running.master.drain("web", "b", True)
            first, second = [e for e in running.master.events.since(None) if e.data.get("to") in ("open", "drained")]
            host, _, port = running.admin.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            head = f"GET /admin/events HTTP/1.1\r\nhost: {running.admin}\r\nlast-event-id: {first.id}\r\n\r\n"
            writer.write(head.encode())
            text = (await reader.readuntil(b"admin.drain")).decode()
            writer.close()
            assert "content-type: text/event-stream" in text
            assert f"id: {second.id}\n" in text
            assert first.id not in text
            line = next(line for line in text.splitlines() if line.startswith("event:"))
            assert line == "event: transition"

    run(scenario)


def test_an_operator_drains_weighs_and_asks_why(start: Start) -> None:
    """Each action answers with the status it led to; what does not exist is named."""

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            drained = await running.ask("POST", "/admin/backends/web/b", {"action": "drain"})
            assert (drained.status, drained.json()["state"]) == (200, "drained")
            why = await running.ask("GET", "/admin/explain?pool=web&backend=b")
            assert any("An operator drained it" in reason["text"] for reason in why.json()["reasons"])
            await running.ask("POST", "/admin/backends/web/b", {"action": "undrain"})
            weighed = await running.ask("POST", "/admin/backends/web/b", {"action": "weight", "weight": 0.5})
            assert weighed.json()["weight"] == 0.5
            await running.until(lambda: any(["web", "b", 0.5, "up"] in v["views"] for v in running.heard("views")))
            for path, body, status in (
                ("/admin/backends/web/nope", {"action": "drain"}, 404),
                ("/admin/backends/nope/a", {"action": "drain"}, 404),
                ("/admin/backends/web/a", {"action": "explode"}, 400),
                ("/admin/backends/web/a", {"action": "weight"}, 400),
                ("/admin/backends/web/a", {"action": "weight", "weight": -1}, 400),
                ("/admin/backends/web/a", {"action": "drain", "extra": 1}, 400),
            ):
                answer = await running.ask("POST", path, body)
                assert answer.status == status, body
                assert set(msgspec.json.decode(answer.body)) == {"error", "where", "remedy"}

    run(scenario)
