"""Cut-overs that tests plan."""

from __future__ import annotations

from holdfast.deploy.core.cutover.settings import CutoverRequest, Preflight, Target
from holdfast.kernel import Duration

DIGEST = "sha256:" + "ab" * 32
OLD = Target(
    kind="app-runner",
    dns="abcdefghij.eu-west-1.awsapprunner.com",
    service="arn:aws:apprunner:eu-west-1:123456789012:service/gateway/0123456789abcdef0123456789abcdef",
)
NEW = Target(
    kind="alb",
    dns="holdfast-1234567890.eu-west-1.elb.amazonaws.com",
    zone="Z32O12XQLNTSW2",
    service="holdfast/gateway",
    load_balancer="app/holdfast/50dc6c495c0c9188",
    target_group="targetgroup/gateway/73e2d6bc24d8a067",
)
PREFLIGHT = Preflight(
    stack="holdfast",
    image=f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/gateway@{DIGEST}",
    secrets=("holdfast/provider-key",),
    certificate="arn:aws:acm:eu-west-1:123456789012:certificate/1a2b3c4d",
    vcpu_new=4.0,
)
CNAME = CutoverRequest(
    name="ai.example.com",
    zone="Z0123456789ABCDEFGHIJ",
    source=OLD,
    target=NEW,
    region="eu-west-1",
    longest=Duration(600.0),
    stream_path="/v1/stream-trial",
    preflight=PREFLIGHT,
)
"""App Runner by its custom domain, a CNAME, to a load balancer."""
ALIAS = CutoverRequest(
    name="ai.example.com",
    zone="Z0123456789ABCDEFGHIJ",
    source=Target(kind="alb", dns="old-1.eu-west-1.elb.amazonaws.com", zone="Z32O12XQLNTSW2", evaluates=True),
    target=NEW,
    region="eu-west-1",
    types=("A", "AAAA"),
)
"""One load balancer to another, both protocols."""
CNAME_TO_ALIAS = CutoverRequest(
    name="ai.example.com",
    zone="Z0123456789ABCDEFGHIJ",
    source=Target(kind="app-runner", dns=OLD.dns, zone="Z087551914Z2PCAU0QHMW", service=OLD.service),
    target=NEW,
    region="eu-west-1",
    record="cname",
)
"""App Runner found as a CNAME, moved by aliases."""
REQUESTS = {"cname": CNAME, "alias": ALIAS, "cname-to-alias": CNAME_TO_ALIAS}
