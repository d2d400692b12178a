"""Sites and agents: stacks of their own."""

from __future__ import annotations

import json
import subprocess

import pytest
from cfnlint.api import ManualArgs, lint
from troposphere import Output

from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template import alarms
from holdfast.deploy.shell.template.agents import TIMEOUT_S, agent_stacks
from holdfast.deploy.shell.template.budget import add_budget
from holdfast.deploy.shell.template.database import add_database
from holdfast.deploy.shell.template.site import INDEX, site_stack
from holdfast.deploy.shell.template.stack import Stack
from holdfast.kernel import Duration
from tests.machine import require_tool
from tests.measuring import unmeasured
from tests.unit.deploy.template.making import NETWORK, a_plan, a_stack, placed, resources, written

ZONE = "Z0123456789ABC"


def a_site(**template: str) -> Stack:
    return site_stack(a_plan(**template), placed("blog", "s3-cloudfront", "eu-central-1"))


def test_a_bucket_is_read_by_one_distribution_and_by_nobody_without_tls() -> None:
    stack = a_site()
    block = resources(stack)["Files"]["Properties"]["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    reads, denies = resources(stack)["FilesPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert "Distribution" in json.dumps(reads["Condition"])
    assert denies["Effect"] == "Deny"
    assert resources(stack)["Files"]["DeletionPolicy"] == "Retain"


def test_a_site_is_in_the_one_region_whose_certificates_cloudfront_takes() -> None:
    stack = a_site(domain="example.com", hosted_zone=ZONE, certificate="arn:aws:acm:eu-central-1:1:certificate/x")
    assert stack.region == "us-east-1"
    assert resources(stack)["Certificate"]["Properties"]["DomainName"] == "blog.example.com"
    assert resources(stack)["AddressAAAA"]["Properties"]["Name"] == "blog.example.com"


def test_a_certificate_of_that_region_is_used() -> None:
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/x"
    stack = a_site(domain="example.com", certificate=arn)
    viewer = resources(stack)["Distribution"]["Properties"]["DistributionConfig"]["ViewerCertificate"]
    assert viewer["AcmCertificateArn"] == arn


@pytest.mark.parametrize(("zone", "says"), [("", "needs a certificate"), ("example.com", "list-hosted-zones")])
def test_a_domain_that_cannot_be_proved_is_refused(zone: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        a_site(domain="example.com", hosted_zone=zone)


@pytest.mark.parametrize(
    ("uri", "becomes"),
    [
        ("/", "/index.html"),
        ("/posts/flapping/", "/posts/flapping/index.html"),
        ("/style.css", "/style.css"),
        ("/posts/flapping", "301 /posts/flapping/"),
        ("//example.com/x", "301 /example.com/x/"),
        ("/\\example.com/x", "301 /example.com/x/"),
    ],
)
def test_directories_have_an_index_and_a_redirection_stays_on_the_site(uri: str, becomes: str) -> None:
    node = require_tool("node")
    event = json.dumps({"request": {"uri": uri}})
    show = "console.log(said.statusCode ? said.statusCode + ' ' + said.headers.location.value : said.uri)"
    script = f"{INDEX}\nconst said = handler({event});\n{show}"
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.strip() == becomes


def test_agents_get_a_stack_in_every_region() -> None:
    stacks = agent_stacks(a_plan(), placed("probes", "lambda", "us-east-1", "ap-southeast-2"))
    assert [(stack.name, stack.region) for stack in stacks] == [
        ("holdfast-probes-us-east-1", "us-east-1"),
        ("holdfast-probes-ap-southeast-2", "ap-southeast-2"),
    ]


def test_one_round_ends_before_the_next_begins_and_is_not_made_up_for() -> None:
    (stack,) = agent_stacks(a_plan(), placed("probes", "lambda"))
    function, calls = (resources(stack)[title]["Properties"] for title in ("Agent", "AgentCalls"))
    rounds = resources(stack)["AgentRounds"]["Properties"]
    assert rounds["ScheduleExpression"] == "rate(1 minute)"
    assert function["Timeout"] == TIMEOUT_S < 60
    assert calls["MaximumRetryAttempts"] == rounds["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 0


@pytest.mark.parametrize(("seconds", "expression"), [(10.0, "1 minute"), (90.0, "2 minutes"), (300.0, "5 minutes")])
def test_rounds_come_in_whole_minutes(seconds: float, expression: str) -> None:
    (stack,) = agent_stacks(a_plan(), placed("probes", "lambda", schedule=Duration(seconds)))
    assert resources(stack)["AgentRounds"]["Properties"]["ScheduleExpression"] == f"rate({expression})"


@pytest.mark.parametrize("candidate", ["lambda", "ecs-fargate"])
def test_an_agent_s_image_is_pinned_and_its_certificate_is_a_secret(candidate: str) -> None:
    (stack,) = agent_stacks(a_plan(), placed("probes", candidate))
    parameters = written(stack)["Parameters"]
    assert "sha256" in parameters["AgentImage"]["AllowedPattern"]
    assert "Default" not in parameters["AgentSecretArn"]
    assert "resolve:secretsmanager" not in json.dumps(written(stack))


def test_an_agent_lets_nobody_in() -> None:
    (stack,) = agent_stacks(a_plan(), placed("probes", "ecs-fargate"))
    assert "SecurityGroupIngress" not in resources(stack)["AgentGroup"]["Properties"]


def test_a_place_that_no_agent_is_emitted_for_is_refused() -> None:
    with pytest.raises(Invalid, match="not on ecs-ec2"):
        agent_stacks(a_plan(), placed("probes", "ecs-ec2"))


def test_cfn_lint_has_nothing_to_say_in_any_of_these_regions() -> None:
    regions = ("us-east-1", "eu-central-1", "ap-southeast-2")
    mail = "pager@example.com"
    base = a_stack(alarm_email=mail, monthly_budget=50.0)
    database = add_database(base, NETWORK)
    database.admit(base, "gateway", "sg-12345678")
    base.template.add_output(Output("Address", Value=database.environment["DATABASE_URL"]))
    alarms.database_alarms(base, database)
    alarms.load_balancer_alarms(base, "gateway", load_balancer="app/x/1", target_group="targetgroup/x/1", p99_s=1.0)
    alarms.front_door_alarm(base, load_balancer="app/x/1")
    add_budget(base)
    stacks = [
        (base, regions),
        (a_site(domain="example.com", hosted_zone=ZONE), ("us-east-1",)),
        *(
            (agent_stacks(a_plan(alarm_email=mail), placed("probes", candidate))[0], regions)
            for candidate in ("lambda", "ecs-fargate")
        ),
    ]
    for stack, where in stacks:
        with unmeasured():  # half the time of these tests would be coverage looking away from cfn-lint
            found = lint(stack.template.to_json(), config=ManualArgs(regions=list(where)))
        assert [str(match) for match in found] == []
