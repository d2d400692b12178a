"""A plan: its order, its commands, and what it refuses."""

from __future__ import annotations

import json
import shlex

import msgspec
import pytest

from holdfast.deploy.core.cutover.plan import plan
from holdfast.deploy.core.cutover.settings import CutoverRequest, Preflight, Target, Thresholds
from holdfast.deploy.core.cutover.steps import CutoverPlan, Step, weights
from holdfast.deploy.core.cutover.text import render
from holdfast.deploy.errors import Invalid
from holdfast.kernel import Duration
from tests.unit.deploy.core.cutover.requests import ALIAS, CNAME, CNAME_TO_ALIAS, DIGEST, OLD, REQUESTS


def step(of: CutoverPlan, id: str) -> Step:
    return next(one for one in of.steps if one.id == id)


def changed(request: CutoverRequest, **fields: object) -> CutoverRequest:
    return msgspec.structs.replace(request, **fields)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_what_cannot_be_taken_back_comes_last_and_nothing_before_it_lacks_a_way_back(request_: CutoverRequest) -> None:
    *others, last = plan(request_).steps
    assert last.id == "delete"
    assert last.back is None
    assert all(one.back is not None for one in others)


def test_the_order_is_look_ttl_dark_try_weigh_shift_keep_settle_pause_delete() -> None:
    shifts = [f"shift-{percent}" for percent in (1, 5, 25, 50, 100)]
    expected = ["preflight", "ttl", "dark", "smoke", "weights", *shifts, "keep-warm", "settle", "pause", "delete"]
    assert [one.id for one in plan(CNAME).steps] == expected


def test_the_simple_record_becomes_two_weighted_ones_in_a_single_batch() -> None:
    of = plan(ALIAS)
    batch = json.loads(of.files["weights.json"])
    assert [change["Action"] for change in batch["Changes"]] == ["DELETE", "DELETE", *["CREATE"] * 4]
    assert weights(of.after(step(of, "weights"))) == {
        "A": {"old-a": 100, "new-a": 0},
        "AAAA": {"old-aaaa": 100, "new-aaaa": 0},
    }


def test_the_record_that_is_deleted_is_named_exactly_with_the_ttl_that_the_step_before_gave_it() -> None:
    (deleted, *_) = json.loads(plan(CNAME).files["weights.json"])["Changes"]
    assert deleted["ResourceRecordSet"]["TTL"] == 60


def test_a_cname_gives_way_to_aliases_where_both_targets_have_a_zone() -> None:
    of = plan(CNAME_TO_ALIAS)
    actions = [(c["Action"], c["ResourceRecordSet"]["Type"]) for c in json.loads(of.files["weights.json"])["Changes"]]
    assert actions == [("DELETE", "CNAME"), ("CREATE", "A"), ("CREATE", "A")]


def test_health_is_not_evaluated_while_weights_move_or_a_dark_target_could_get_everybody() -> None:
    of = plan(ALIAS)
    made = [c["ResourceRecordSet"] for c in json.loads(of.files["shift-5.json"])["Changes"]]
    assert {one["AliasTarget"]["EvaluateTargetHealth"] for one in made} == {False}
    back = json.loads(of.files["shift-5-back-2.json"])["Changes"]
    assert {c["ResourceRecordSet"]["AliasTarget"]["EvaluateTargetHealth"] for c in back if c["Action"] == "CREATE"} == {
        True
    }


def test_an_alias_has_its_targets_ttl_so_there_is_nothing_to_lower() -> None:
    of = plan(ALIAS)
    assert step(of, "ttl").batch is None
    assert step(of, "ttl").wait_s == 0


def test_the_old_ttl_is_waited_out() -> None:
    assert step(plan(changed(CNAME, ttl=Duration(3600.0))), "ttl").wait_s >= 3600


@pytest.mark.parametrize(("rate", "percent", "least_s"), [(10.0, 100, 660.0), (0.5, 1, 100_000.0), (10.0, 1, 5_000.0)])
def test_a_stage_lasts_for_three_ttls_the_longest_stream_and_enough_requests(
    rate: float, percent: int, least_s: float
) -> None:
    assert step(plan(changed(CNAME, rate=rate)), f"shift-{percent}").wait_s == pytest.approx(least_s)


def test_the_old_target_is_kept_for_a_day_whatever_is_asked() -> None:
    assert step(plan(changed(CNAME, keep_warm=Duration(60.0))), "keep-warm").wait_s == 86_400


def test_the_quota_has_to_hold_both_sets_at_full_size() -> None:
    request = changed(CNAME, preflight=Preflight(vcpu_old=6.0, vcpu_new=4.0))
    (quota,) = [c for c in step(plan(request), "preflight").checks if "service-quotas" in c.command]
    assert "at least 10 vCPU" in quota.expects


def test_a_certificate_that_is_not_issued_ends_the_plan() -> None:
    (certificate,) = [c for c in step(plan(CNAME), "preflight").checks if "acm" in c.command]
    assert "ISSUED" in certificate.expects
    assert "ends the plan" in certificate.expects


def test_what_the_request_does_not_name_is_said_not_to_be_checked() -> None:
    assert "not checked: image, certificate, secrets, quota" in step(plan(ALIAS), "preflight").why


def test_the_trial_goes_through_the_new_target_with_the_real_name() -> None:
    first, stream = step(plan(CNAME), "smoke").checks
    assert "--connect-to ai.example.com:443:holdfast-1234567890.eu-west-1.elb.amazonaws.com:443" in first.command
    assert "https://ai.example.com/healthz" in first.command
    assert "--max-time 630" in stream.command


def test_metrics_of_a_shared_load_balancer_are_those_of_the_target_group() -> None:
    metrics = {one["Id"]: one for one in json.loads(plan(CNAME).files["watch.json"])}
    named = {d["Name"] for d in metrics["new_target_5xx"]["MetricStat"]["Metric"]["Dimensions"]}
    assert named == {"LoadBalancer", "TargetGroup"}
    assert metrics["old_requests_seen"]["MetricStat"]["Metric"]["Namespace"] == "AWS/AppRunner"


def test_counts_that_are_only_reported_when_not_zero_are_filled() -> None:
    metrics = {one["Id"]: one.get("Expression", "") for one in json.loads(plan(CNAME).files["watch.json"])}
    assert "FILL(new_target_5xx, 0)" in metrics["new_errors"]


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_every_command_is_one_line_that_a_shell_can_read_and_names_files_that_there_are(
    request_: CutoverRequest,
) -> None:
    of = plan(request_)
    for one in of.steps:
        lines = [*one.commands, *(check.command for check in one.checks), *(one.back.commands if one.back else ())]
        for line in lines:
            assert "\n" not in line
            shlex.split(line, comments=True)
            named = [word.partition("file://")[2].split()[0] for word in line.split("--") if "file://" in word]
            assert set(named) <= set(of.files)


def test_an_old_target_on_ecs_is_scaled_to_nothing_before_it_is_deleted() -> None:
    of = plan(changed(CNAME, source=Target(kind="ecs-express", dns=OLD.dns, service="old/gateway")))
    (pause,) = step(of, "pause").commands
    assert "update-service --cluster old --service gateway --region eu-west-1 --desired-count 0" in pause
    back = step(of, "pause").back
    assert back is not None
    assert "--desired-count" in back.commands[0]
    assert "delete-service --cluster old --service gateway" in step(of, "delete").commands[0]


def test_an_image_of_another_registry_is_looked_for_there() -> None:
    image = f"ghcr.io/example/gateway@{DIGEST}"
    checks = step(plan(changed(CNAME, preflight=Preflight(image=image))), "preflight").checks
    assert f"docker manifest inspect {image}" in [check.command for check in checks]


def test_every_file_is_named_by_a_command() -> None:
    of = plan(CNAME)
    text = render(of)
    assert [name for name in of.files if f"file://{name}" not in text] == []


def test_the_text_says_every_step_with_its_way_back_and_when_it_takes_effect() -> None:
    text = render(plan(CNAME))
    assert "9. 50 % to the new target  [shift-50]" in text
    assert "takes effect within 2 min" in text
    assert text.count("back:") >= 14


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": "ai.example.com; rm -rf /"}, ("name",)),
        ({"name": "AI.example.com"}, ("name",)),
        ({"zone": "$(id)"}, ("zone",)),
        ({"region": "eu-west-1 --debug"}, ("region",)),
        ({"health_path": "/x'y"}, ("health_path",)),
        ({"stages": (1, 5)}, ("stages",)),
        ({"stages": (0, 100)}, ("stages",)),
        ({"stages": (50, 5, 100)}, ("stages",)),
        ({"stages": ()}, ("stages",)),
        ({"types": ()}, ("types",)),
        ({"types": ("A", "A")}, ("types",)),
        ({"ttl": Duration(0.5)}, ("ttl",)),
        ({"low_ttl": Duration(600.0)}, ("low_ttl",)),
        ({"rate": 0.0}, ("rate",)),
        ({"record": "alias"}, ("record",)),
        ({"source": CNAME.target}, ("to", "dns")),
        ({"source": Target(kind="alb", dns="ai.example.com")}, ("from", "dns")),
        ({"source": Target(kind="app-runner", dns=OLD.dns, service="gateway")}, ("from", "service")),
        ({"source": Target(kind="alb", dns=OLD.dns, service="gateway")}, ("from", "service")),
        ({"source": Target(kind="alb", dns=OLD.dns, load_balancer="holdfast")}, ("from", "load_balancer")),
        ({"source": Target(kind="alb", dns=OLD.dns, target_group="gateway")}, ("from", "target_group")),
        ({"source": Target(kind="alb", dns=OLD.dns, zone="/hostedzone/Z1")}, ("from", "zone")),
        ({"thresholds": Thresholds(errors=1.0)}, ("thresholds", "errors")),
        ({"thresholds": Thresholds(p99=1.0)}, ("thresholds", "p99")),
        ({"thresholds": Thresholds(requests=1)}, ("thresholds", "requests")),
        ({"stages": tuple(range(80, 101))}, ("stages",)),
        ({"preflight": Preflight(template="/etc/passwd")}, ("preflight", "template")),
        ({"preflight": Preflight(image="gateway:latest")}, ("preflight", "image")),
        ({"preflight": Preflight(secrets=("a b",))}, ("preflight", "secrets", 0)),
    ],
)
def test_what_cannot_be_right_or_must_not_get_into_a_command_is_refused_by_its_place(
    fields: dict[str, object], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(Invalid) as caught:
        plan(changed(CNAME, **fields))
    assert path in [problem.path for problem in caught.value.problems]
