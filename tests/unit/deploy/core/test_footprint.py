from __future__ import annotations

import pytest

from holdfast.deploy.core.footprint import Measured, footprint, with_footprint
from holdfast.deploy.core.workload import Traffic, Workload
from holdfast.kernel import Duration


def record(drill: str, *, stale: bool = False, cores: int = 2, **metrics: float) -> dict[str, Measured]:
    return {
        drill: Measured(
            drill=drill,
            record="r1",
            metrics={f"holdfast.{name}": value for name, value in metrics.items()},
            cores=cores,
            parameters={"tokens_per_s": 20.0},
            stale=stale,
        )
    }


def test_a_balancer_takes_what_the_throughput_and_idle_drills_measured() -> None:
    measured = record("throughput", cpu_us_64B=26.5) | record("idle", bytes_per_client=4481.2)
    found = footprint(Workload(service="balancer"), measured)
    assert found.traffic.cpu == pytest.approx(26.5e-6)
    assert found.traffic.memory == 4481
    assert [origin.text for origin in found.origins] == [
        "cpu of one: 26.5 µs, from throughput/r1, holdfast.cpu_us_64B",
        "memory of one: 4481 B, from idle/r1, holdfast.bytes_per_client",
    ]


def test_a_gateways_stream_takes_its_tokens_too() -> None:
    measured = record(
        "gateway",
        cpu_us_short=560.0,
        token_cpu_us=24.0,
        memory_bytes=84_000_000.0,
        stream_memory_bytes=118_000_000.0,
        streams_open=2000.0,
    )
    streaming = Workload(service="gateway", protocols=("sse",), traffic=Traffic(duration=Duration(30.0)))
    found = footprint(streaming, measured)
    # 560 us + 20 tokens/s x 30 s x 24 us; (118 - 84) MB / 2000 streams
    assert found.traffic.cpu == pytest.approx(0.01496)
    assert found.traffic.memory == 17_000
    assert "600 tokens a stream, 20 a second" in found.origins[0].text
    plain = footprint(Workload(service="gateway", protocols=("http/1.1",)), measured)
    assert plain.traffic.cpu == pytest.approx(560e-6)


def test_a_job_takes_at_most_all_cores_at_the_rate_that_was_reached() -> None:
    found = footprint(Workload(service="execution-worker"), record("runner", python_per_s=250.0))
    assert found.traffic.cpu == pytest.approx(0.008)
    assert "all 2 cores, so at most that" in found.origins[0].text


@pytest.mark.parametrize(("service", "micros"), [("netpulse", 204.0), ("agent", 499.0)])
def test_a_monitor_and_its_agents_take_what_a_check_takes(service: str, micros: float) -> None:
    measured = record("watch-capacity", agent_cpu_us=499.0, engine_cpu_us=204.0)
    assert footprint(Workload(service=service), measured).traffic.cpu == pytest.approx(micros / 1e6)


@pytest.mark.parametrize("service", ["", "console", "balancer", "gateway", "execution-worker", "agent"])
def test_without_a_record_the_workloads_own_figures_stay(service: str) -> None:
    workload = Workload(service=service)
    assert with_footprint(workload, {}) == workload
    assert footprint(workload, {}).origins == ()


def test_a_record_that_lacks_a_metric_is_as_none() -> None:
    for drill in ("throughput", "idle", "gateway", "runner", "watch-capacity"):
        for service in ("balancer", "gateway", "execution-worker", "netpulse", "agent"):
            assert footprint(Workload(service=service), record(drill)).origins == ()


def test_a_gateway_record_without_a_price_of_tokens_gives_the_short_answers() -> None:
    found = footprint(Workload(service="gateway", protocols=("sse",)), record("gateway", cpu_us_short=560.0))
    assert found.traffic.cpu == pytest.approx(560e-6)


def test_a_stale_record_is_used_and_said_to_be() -> None:
    found = footprint(Workload(service="agent"), record("watch-capacity", stale=True, agent_cpu_us=499.0))
    assert found.origins[0].text.endswith("the code has changed since that record")
