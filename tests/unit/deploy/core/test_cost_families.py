"""Each family of platforms, with a figure that was computed by hand beside it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from holdfast.deploy.core.assumptions import Assumptions
from holdfast.deploy.core.candidates import BY_ID, CANDIDATES
from holdfast.deploy.core.cost import busy
from holdfast.deploy.core.traffic import cents
from holdfast.deploy.core.workload import Account, DeploySettings, ScaleNeeds, Workload
from holdfast.kernel import Duration, Size
from tests.unit.deploy.core.priced import AMOUNTS, AT, REGION, api, line, month, table, traffic


def dollars(text: str) -> Decimal:
    return Decimal(text)


def test_fargate_bills_its_tasks_and_what_stands_around_them() -> None:
    # 300/s: 2 tasks x (0.25 x 0.04048 + 0.5 x 0.004445) x 730 = 18.02005
    # ALB 16.425; 30 new connections a second / 25 = 1.2 units x 0.008 x 730 = 7.008
    # IPv4: 2 of the balancer, 2 of the tasks: 4 x 0.005 x 730 = 14.6
    assert cents(month("ecs-fargate+alb", api(300)).total) == dollars("56.05")


def test_half_a_busy_month_bills_the_tasks_of_both_halves() -> None:
    # half a month with 2 tasks, half with 1: 1.5 x 730 h x 0.25 vCPU
    found = month("ecs-fargate+alb", api(traffic=traffic(300, busy=0.5)))
    assert line(found, "fargate.vcpu_hour").quantity == dollars("273.75")


def test_a_size_between_two_is_rounded_up_and_said_so() -> None:
    found = month("ecs-fargate", api(cpu=0.25, memory="3GiB"))
    assert line(found, "fargate.vcpu_hour").what == "Fargate, 0.5 vCPU"
    assert any("0.5 vCPU, 3 GB is priced" in text for text in found.assumptions)


def test_what_is_larger_than_the_largest_task_has_no_price() -> None:
    huge, settings = api(cpu=32.0, memory="256GiB"), DeploySettings()
    for name in ("ecs-fargate", "app-runner", "lambda", "lambda-microvms", "lightsail-containers", "ecs-ec2"):
        assert busy(BY_ID[name], huge, settings=settings, region=REGION, prices=table(), at=AT) is None


def test_a_shared_load_balancer_is_charged_in_parts() -> None:
    shared = DeploySettings(account=Account(shared_alb=5))
    # Express, 0.25/0.5: 9.010025 + 16.425/5 + 7.30/5 + 3.65
    assert cents(month("ecs-express", api(), settings=shared, without_work=True).total) == dollars("17.41")


def test_a_network_load_balancer_is_not_shared() -> None:
    shared = DeploySettings(account=Account(shared_alb=5))
    assert line(month("ecs-fargate+nlb", api(), settings=shared), "nlb.hour").quantity == 730


def test_behind_nat_tasks_have_no_public_address_and_the_gateways_are_billed() -> None:
    found = month("ecs-fargate+alb", api(), settings=DeploySettings(account=Account(nat=True)))
    assert line(found, "ipv4.hour", "tasks").quantity == 0
    # one in each of two zones, each with an address of its own
    assert line(found, "nat.hour").quantity == 1460
    assert line(found, "ipv4.hour", "NAT").quantity == 1460


def test_a_private_balancer_has_no_public_address_and_sends_nothing_to_the_internet() -> None:
    found = month("ecs-fargate+alb", api(10, ingress="private", traffic=traffic(10, bytes_out=Size(2**20))))
    assert line(found, "ipv4.hour", "balancer").quantity == 0
    assert line(found, "data.out_gb").quantity == 0


def test_a_workload_that_goes_to_zero_costs_no_compute_without_work() -> None:
    worker = Workload(cpu=0.25, scale=ScaleNeeds(min=0, to_zero=True))
    assert month("ecs-fargate", worker, without_work=True).total == 0
    assert month("ecs-express", worker, without_work=True).total > 0


def test_waking_is_billed_where_it_is_known_how_often_and_named_where_not() -> None:
    worker = Workload(cpu=1.0, memory=Size(2**31), scale=ScaleNeeds(min=0, to_zero=True), traffic=traffic(1, busy=0.1))
    silent = month("ecs-fargate", worker)
    assert any("how often is not known, and not in the total" in text for text in silent.assumptions)
    known = DeploySettings(assume=Assumptions(wakes_per_month=300.0, start=Duration(120.0)))
    woken = month("ecs-fargate", worker, settings=known)
    # 300 x 120 s = 10 h beside the busy 73
    assert line(woken, "fargate.vcpu_hour").quantity == 83
    assert line(silent, "fargate.vcpu_hour").quantity == 73


def test_a_timers_task_lives_for_its_start_and_its_work() -> None:
    probe = Workload(
        cpu=0.25,
        scale=ScaleNeeds(min=0, to_zero=True),
        schedule=Duration(3600.0),
        traffic=traffic(0, duration=Duration(30.0)),
    )
    # 730 runs x (60 + 30) s = 18.25 h x 0.25 vCPU
    assert round(line(month("ecs-fargate", probe), "fargate.vcpu_hour").quantity, 9) == dollars("4.5625")


def test_spot_pays_for_work_that_is_done_twice() -> None:
    settings = DeploySettings(assume=Assumptions(interruptions_per_hour=0.5))
    worker = Workload(cpu=1.0, memory=Size(2**31), traffic=traffic(0.01, cpu=Duration(1.0), duration=Duration(600.0)))
    # each loses 300 s of work and 60 s of starting: 0.5 x 360 / 3600 = 5 % more
    found = month("ecs-fargate-spot", worker, settings=settings)
    assert line(found, "fargate_spot.vcpu_hour").quantity == dollars("766.5")
    assert any(text.startswith("0.5 interruptions an hour are assumed") for text in found.assumptions)


def test_app_runner_bills_memory_always_and_processors_while_it_answers() -> None:
    # busy a quarter: 182.5 h x 1 vCPU; one request a second keeps it active throughout
    found = month("app-runner", api(traffic=traffic(1, busy=0.25), cpu=1.0, memory="2GiB"))
    assert line(found, "app_runner.vcpu_hour").quantity == dollars("182.5")
    assert line(found, "app_runner.gb_hour").quantity == 1460


def test_app_runner_bills_a_minute_of_processor_for_a_rare_request() -> None:
    # one in 10 minutes, of which one is active: a tenth of 730 h
    found = month("app-runner", api(traffic=traffic(1 / 600)))
    assert round(line(found, "app_runner.vcpu_hour").quantity, 6) == round(dollars("18.25"), 6)


def test_a_function_bills_its_time_and_its_requests() -> None:
    # 2,628,000 requests x 0.1 s x 0.5 GB x 0.0000166667 = 2.19000438; x 0.20 per million = 0.5256
    found = month("lambda+lambda-url", api(1))
    assert cents(found.total) == dollars("2.72")
    assert month("lambda+lambda-url", api(1), without_work=True).total == 0


def test_a_function_gets_the_memory_that_its_processor_share_needs() -> None:
    # 1 vCPU is had from 1769 MB on
    found = month("lambda", api(1, cpu=1.0, memory="512MiB"))
    assert line(found, "lambda.gb_second").what == "Lambda, 1769 MB"


def test_a_function_lasts_as_long_as_its_processor_time_takes_at_its_share() -> None:
    # 1 s of CPU at 442.25 -> 443 MB... the workload asks for 512: 1769 / 512 = 3.455 s
    found = month("lambda", api(traffic=traffic(1, cpu=Duration(1.0))))
    assert round(line(found, "lambda.gb_second").quantity) == round(2_628_000 * Decimal(1769) / 512 / 2)


def test_cold_starts_are_billed_where_their_share_is_known() -> None:
    settings = DeploySettings(assume=Assumptions(cold_starts=0.01))
    found = month("lambda", api(1), settings=settings)
    # 26,280 x 1 s x 0.5 GB
    assert line(found, "lambda.gb_second", "cold").quantity == 13_140


@pytest.mark.parametrize(
    ("protocol", "key", "quantity"),
    [
        ("http/1.1", "api_gateway.million_http", "2.628"),
        ("sse", "api_gateway.million_rest", "2.628"),
        # 2,628,000 connections of 6 s are 262,800 minutes
        ("websocket", "api_gateway.million_connection_minutes", "0.2628"),
    ],
)
def test_api_gateway_bills_by_what_it_carries(protocol: str, key: str, quantity: str) -> None:
    workload = api(protocols=(protocol,), traffic=traffic(1, duration=Duration(6.0)))
    assert line(month("lambda+api-gateway", workload), key).quantity == dollars(quantity)


def test_a_web_function_without_a_price_has_no_complete_total() -> None:
    found = month("lambda-web-functions", api(1))
    (missing,) = found.missing
    assert missing.price.key == "lambda_web_functions.vcpu_hour"
    assert "not known in us-east-1" in missing.note


def job(rate: float, seconds: float) -> Workload:
    return Workload(cpu=1.0, memory=Size(2**31), traffic=traffic(rate, unit="job", duration=Duration(seconds)))


def test_a_rare_job_has_a_microvm_of_its_own_and_reads_its_image() -> None:
    # 0.001/s x 60 s = 0.06 at once: 43.8 h of 1 vCPU and 2 GB; 2,628 jobs read 2 GB each
    found = month("lambda-microvms", job(0.001, 60.0))
    assert line(found, "lambda_microvms.vcpu_hour").quantity == dollars("43.8")
    # 43.8 x (0.0997 + 2 x 0.0132) + 2 x 0.08 + 5,256 x 0.00155 = 5.52318 + 0.16 + 8.1468
    assert cents(found.total) == dollars("13.83")


def test_many_short_jobs_share_a_microvm_because_each_start_reads_the_image() -> None:
    # one each would read 5,256,000 x 2 GB x 0.00155 = 16,294; held: 730 x (0.0997 + 2 x 0.0132) = 92.053
    found = month("lambda-microvms", job(2.0, 0.05))
    assert line(found, "lambda_microvms.snapshot_read_gb").quantity == 0
    assert cents(found.total) == dollars("92.05")


def test_without_jobs_only_the_image_of_a_microvm_is_stored() -> None:
    worker = Workload(cpu=1.0, memory=Size(2**31), scale=ScaleNeeds(min=3), traffic=traffic(1, unit="job"))
    assert month("lambda-microvms", worker, without_work=True).total == dollars("0.16")


def test_a_microvm_for_requests_is_suspended_when_nobody_comes() -> None:
    settings = DeploySettings(assume=Assumptions(wakes_per_month=100.0))
    found = month("lambda-microvms", api(traffic=traffic(1, busy=0.25)), settings=settings)
    assert line(found, "lambda_microvms.vcpu_hour").quantity == dollars("182.5") / 4
    # three quarters of the month x 0.5 GB, and 100 times read and written
    assert line(found, "lambda_microvms.snapshot_gb_month").quantity == dollars("0.375")
    assert line(found, "lambda_microvms.snapshot_read_gb").quantity == 50
    assert line(found, "lambda_microvms.snapshot_write_gb").quantity == 50
    deleted = DeploySettings(assume=Assumptions(suspended=False))
    assert line(month("lambda-microvms", api(), settings=deleted), "lambda_microvms.snapshot_gb_month").quantity == 0.5


def test_a_microvm_above_its_largest_baseline_bursts() -> None:
    found = month("lambda-microvms", api(1, cpu=8.0, memory="16GiB"))
    assert any(text.startswith("what is above 4 vCPU, 8 GB is burst") for text in found.assumptions)


def test_tasks_are_packed_onto_the_instance_that_is_cheapest_and_it_is_named() -> None:
    # 6 tasks of 1 vCPU and 2 GB. c6a.large has 3.5 GB to give: 1 each, 6 x 0.0765 = 0.459;
    # m6a.large 7.5 GB and 2 vCPU: 2 each, 3 x 0.0864 = 0.2592; c6a.2xlarge 15.5 GB: 7 each, 1 x 0.306
    workload = api(1, cpu=1.0, memory="2GiB", scale=ScaleNeeds(min=6, max=6))
    found = month("ecs-ec2+alb", workload)
    assert line(found, "ec2.m6a.large.hour").quantity == 3 * 730
    assert line(found, "ebs.gp3_gb_month").quantity == 90
    assert line(found, "ec2.m6a.large.hour").note == "3 while busy, each with room for 2 tasks"


def test_a_burstable_instance_counts_with_its_baseline() -> None:
    # t3.small: 2 vCPU x 20 % = 0.4, which is one task of a quarter; two need two instances
    found = month("ecs-ec2", api(scale=ScaleNeeds(min=2)))
    assert line(found, "ec2.t3.small.hour").quantity == 1460


def test_isolated_tasks_have_an_instance_each() -> None:
    workload = api(cpu=1.0, memory="2GiB", scale=ScaleNeeds(min=3, max=3), needs=("isolated-tasks",))
    assert line(month("ecs-ec2", workload), "ec2.c6a.large.hour").quantity == 3 * 730


def test_a_managed_instance_has_a_fee_beside_its_price() -> None:
    found = month("ecs-managed-instances", api(cpu=8.0, memory="8GiB"))
    assert line(found, "ec2.c6a.2xlarge.hour").quantity == 730
    assert line(found, "managed_instances.c6a.2xlarge.hour").amount == dollars("27.01")


def test_a_fee_that_is_not_known_leaves_the_total_incomplete_instead_of_taking_a_larger_type() -> None:
    found = month("ecs-managed-instances", api(cpu=0.25))
    assert [one.price.key for one in found.missing] == ["managed_instances.t3.small.hour"]


def test_a_type_whose_own_price_is_not_known_is_taken_last() -> None:
    prices = table(without=frozenset({"ec2.t3.small.hour"}))
    assert line(month("ecs-ec2", api(), prices=prices), "ec2.t3.medium.hour").quantity == 730
    nothing = frozenset(key for key in AMOUNTS if key.startswith("ec2."))
    found = month("ecs-ec2", api(), prices=table(without=nothing))
    assert [one.price.key for one in found.missing] == ["ec2.t3.small.hour"]


def test_eks_pays_for_its_control_plane_and_a_node_even_at_zero() -> None:
    worker = Workload(cpu=0.25, scale=ScaleNeeds(min=0, to_zero=True))
    found = month("eks", worker, without_work=True)
    # 73 + t3.small 15.184 + 30 GB 2.4 + its address 3.65
    assert cents(found.total) == dollars("94.23")


def test_a_task_that_wakes_on_a_node_that_stays_bills_nothing_more() -> None:
    worker = Workload(cpu=0.25, scale=ScaleNeeds(min=0, to_zero=True), traffic=traffic(1, busy=0.1))
    often = DeploySettings(assume=Assumptions(wakes_per_month=1000.0))
    assert month("eks", worker, settings=often).total == month("eks", worker).total
    assert month("ecs-ec2", worker, settings=often).total > month("ecs-ec2", worker).total


def test_beanstalk_runs_one_copy_on_an_instance_behind_a_balancer() -> None:
    found = month("elastic-beanstalk", api(scale=ScaleNeeds(min=2)))
    assert line(found, "ec2.t3.small.hour").quantity == 1460
    assert line(found, "alb.hour").quantity == 730


def test_lightsail_is_flat_and_includes_half_a_terabyte_out() -> None:
    # 0.3/s x 2,628,000 s x 1 MiB = 769.92 GB out, 269.92 beyond what is included; x 0.09 = 24.29
    found = month("lightsail-containers", api(traffic=traffic(0.3, bytes_out=Size(2**20))))
    assert cents(found.total) == dollars("31.29")
    assert month("lightsail-containers", api(), without_work=True).total == 7


def site(rate: float) -> Workload:
    return Workload(protocols=("http/1.1",), package="files", traffic=traffic(rate, bytes_out=Size(100 * 1024)))


@pytest.mark.parametrize(
    ("rate", "total", "plan"),
    [
        # 262,800 requests and 25 GB fit into the free plan; 0.023 for a gigabyte in the bucket
        (0.1, "0.02", "free"),
        # 2.628 x 1.00 + 250.63 GB x 0.085 = 23.93 are more than the 15 of the next plan
        (1.0, "15.02", "pro"),
        # beyond 10 million: 13.14 x 1.00 + 1253.13 GB x 0.085 + 0.023
        (5.0, "119.68", ""),
    ],
)
def test_a_site_is_stored_and_fetched_by_the_cheapest_tariff_that_holds_it(rate: float, total: str, plan: str) -> None:
    found = month("s3-cloudfront", site(rate))
    assert cents(found.total) == dollars(total)
    assert any(f"flat-rate plan {plan}," in text for text in found.assumptions) == bool(plan)


def test_a_plan_is_taken_where_the_price_of_requests_is_not_known() -> None:
    prices = table(without=frozenset({"cloudfront.million_https"}))
    assert month("s3-cloudfront", site(1.0), prices=prices).complete
    assert not month("s3-cloudfront", site(5.0), prices=prices).complete


def test_logs_are_taken_in_and_kept() -> None:
    # 2,628,000 x 1 KiB = 2.506 GB in; kept for 30 of 30.4 days
    found = month("ecs-fargate", api(traffic=traffic(1, log_bytes=Size(1024))))
    assert round(line(found, "logs.ingest_gb").quantity, 3) == dollars("2.506")
    assert round(line(found, "logs.gb_month").quantity, 3) == dollars("2.472")


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda one: one.id)
def test_what_stands_around_has_a_line_everywhere_even_at_zero(candidate: object) -> None:
    found = month(candidate.id, api(), without_work=True)  # type: ignore[attr-defined]
    assert {"ingress", "addresses", "nat", "logs", "data"} <= {one.part for one in found.lines}


def test_too_small_a_maximum_is_said_and_what_is_needed_is_priced() -> None:
    found = month("ecs-fargate+alb", api(3000))
    assert any("scale.max is 2, which is too few: 20 tasks" in text for text in found.assumptions)
    assert line(found, "fargate.vcpu_hour").quantity == 20 * 730 * dollars("0.25")
