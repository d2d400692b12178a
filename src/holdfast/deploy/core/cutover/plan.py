"""The plan of a cut-over: from a request to steps with commands, checks, thresholds and the way back.

The order is what makes it safe. Nothing carries traffic until it was tried under its real name; the record becomes
weighted before any weight moves, so that from then on forward and back are the same kind of change; the old target
stays at full size until clients that never look up a name again have had a day; and what cannot be taken back comes
last, when nothing points at the old target any more.
"""

from __future__ import annotations

import json
from shlex import quote
from typing import Final, TypedDict

from holdfast.deploy.core.cutover import changes, checks, metrics
from holdfast.deploy.core.cutover.changes import WHOLE
from holdfast.deploy.core.cutover.records import Batch, Zone, to_api
from holdfast.deploy.core.cutover.settings import DAY_S, CutoverRequest, problems
from holdfast.deploy.core.cutover.steps import Back, Check, CutoverPlan, Step, in_words
from holdfast.deploy.errors import Invalid

PROPAGATION_S: Final = 60
"""Within which a change is usually on all servers of Route 53 (developer guide, "How Route 53 handles changes")."""
START_S: Final = 600
"""Allowance for a stopped target to answer again: App Runner and ECS pull an image and start tasks."""


def plan(request: CutoverRequest) -> CutoverPlan:
    """All steps. Raises :class:`Invalid` with every problem of the request."""
    if found := problems(request):
        text = "; ".join(f"{'.'.join(map(str, one.path))}: {one.message}; {one.remedy}" for one in found)
        raise Invalid(f"cutover: {text}", found)
    return _Maker(request).make()


class _Changing(TypedDict):
    commands: tuple[str, ...]
    batch: Batch


class _Maker:
    """Writes the steps of one request, and the files that they name."""

    def __init__(self, request: CutoverRequest) -> None:
        self._of = request
        self._start = changes.start(request)
        self._lowered = changes.lowered(request)
        self._files = {"watch.json": _json(metrics.queries(request.source, request.target))}

    def make(self) -> CutoverPlan:
        steps = [self._preflight(), self._lower_ttl(), self._dark(), self._smoke(), self._weigh()]
        steps += [self._shift(percent) for percent in self._of.stages]
        steps += [self._keep_warm(), self._settle(), self._pause(), self._delete()]
        before: Zone = frozenset(self._start)
        return CutoverPlan(request=self._of, before=before, steps=tuple(steps), files=self._files)

    # -- before anything moves

    def _preflight(self) -> Step:
        missing = checks.not_before(self._of)
        return Step(
            id="preflight",
            title="Look before anything is moved",
            why="Every one of these has ended a cut-over half way for somebody."
            + (f" Not given, so not checked: {', '.join(missing)}." if missing else ""),
            checks=checks.before(self._of),
            abort=("any check fails",),
            back=Back(summary="nothing was changed"),
        )

    def _lower_ttl(self) -> Step:
        of = self._of
        ttl = self._lowered[0].ttl or of.ttl_s
        answer = Check(command=f"dig +noall +answer {of.name} @1.1.1.1", expects=f"a TTL of at most {ttl}")
        if self._lowered == self._start:
            return Step(
                id="ttl",
                title=f"The TTL is low already: {ttl} s",
                why="Resolvers hold an answer for that long. The TTL of an alias is its target's, and cannot be set.",
                checks=(answer,),
                abort=("a resolver shows a longer TTL: the record is not what the request says",),
                back=Back(summary="nothing was changed"),
            )
        return Step(
            id="ttl",
            title=f"Lower the TTL from {of.ttl_s} s to {ttl} s, and wait the old one out",
            why="A resolver that asked a moment before the change holds the old answer, and the old TTL, for that long."
            " Until then a roll-back would take as long as it ever did.",
            **self._change("ttl", changes.upsert(f"{of.name}: TTL {ttl}", self._lowered)),
            checks=(answer,),
            abort=("after the wait a public resolver still shows a TTL above it",),
            back=self._back("ttl", "restore the TTL", *self._ttl_again()),
            wait_s=of.ttl_s + PROPAGATION_S,
        )

    def _ttl_again(self) -> tuple[Batch, ...]:
        if self._lowered == self._start:
            return ()
        return (changes.upsert(f"{self._of.name}: TTL {self._of.ttl_s} again", self._start),)

    def _dark(self) -> Step:
        of, stack = self._of, self._of.preflight.stack
        deploy: tuple[str, ...] = ()
        remove: tuple[str, ...] = ()
        if stack:
            where = f"--stack-name {quote(stack)} --region {of.region}"
            flags = f"--template-file {quote(of.preflight.template)} --capabilities CAPABILITY_NAMED_IAM"
            deploy = (f"aws cloudformation deploy {where} {flags} --no-fail-on-empty-changeset",)
            remove = (
                f"aws cloudformation delete-stack {where}   # only if this plan made it; else deploy what was there",
            )
        return Step(
            id="dark",
            title="Deploy the new target, dark",
            why="At full size, so that it is there when everybody comes at once; nobody is sent to it yet. On a shared"
            " listener, add a rule for the host and find it by its host, never by its place in the list.",
            commands=deploy,
            checks=checks.dark(of),
            abort=("a deployment that rolls back, or tasks that come and go",),
            back=self._back("dark", "nobody was sent to it", *self._ttl_again(), first=remove),
        )

    def _smoke(self) -> Step:
        return Step(
            id="smoke",
            title="Try it under its real name",
            why="With the Host header and server name that clients send, through the new load balancer: this is what"
            " meets the certificate, the host rule and the redirects. Its own DNS name would meet none of them.",
            checks=checks.trials(self._of, self._of.target, times=20),
            abort=("one failure",),
            back=self._back("smoke", "nobody was sent to it", *self._ttl_again()),
        )

    # -- the traffic

    def _weigh(self) -> Step:
        of = self._of
        pair = changes.weighted(of, 0)
        swap = changes.replace(f"{of.name}: weighted, 100 to the old target", self._lowered, pair)
        return Step(
            id="weights",
            title="One batch: the simple record becomes two weighted ones, 100 and 0",
            why="Route 53 carries out all of a batch or none of it, so the name is never without an answer. Everybody"
            " is still sent to the old target. Never 0 and 0: Route 53 would answer with both equally.",
            **self._change("weights", swap),
            checks=(self._weights_are(0), checks.answers(of)),
            abort=("the old target's errors or p99 rise: nothing should have changed",),
            back=self._back(
                "weights",
                "back to the simple record, in one batch",
                changes.replace(f"{of.name}: as it was", pair, self._start),
            ),
            wait_s=PROPAGATION_S + max(self._lowered[0].ttl or 0, of.low_ttl_s),
            percent=0,
        )

    def _shift(self, percent: int) -> Step:
        of, id = self._of, f"shift-{percent}"
        needed = of.thresholds.requests
        needs_s = needed / (of.rate * percent / WHOLE)
        wait_s = max(of.bake_s, needs_s)
        return Step(
            id=id,
            title=f"{percent} % to the new target",
            why=f"At least {in_words(of.bake_s)}: three TTLs, and a TTL with the longest stream. {needed:,} requests"
            f" are needed before it can be judged, about {in_words(needs_s)} at {of.rate:g} requests/s."
            " Too few requests are no verdict: wait, do not go on.",
            **self._change(
                id, changes.upsert(f"{of.name}: {percent} % to the new target", changes.weighted(of, percent))
            ),
            checks=(self._weights_are(percent), checks.watch(of, wait_s), *checks.trials(of, of.target)),
            abort=checks.thresholds(of),
            back=self._traffic_back(id),
            wait_s=wait_s,
            percent=percent,
        )

    def _traffic_back(self, id: str) -> Back:
        of = self._of
        pair = changes.weighted(of, 0)
        return self._back(
            id,
            "the first line moves the traffic; the second, when it is calm, restores the record",
            changes.upsert(f"{of.name}: 100 to the old target", pair),
            changes.replace(f"{of.name}: as it was", pair, self._start),
        )

    def _keep_warm(self) -> Step:
        of = self._of
        return Step(
            id="keep-warm",
            title=f"Keep the old target at full size for {in_words(of.keep_warm_s)}",
            why="Some resolvers hold an answer longer than they may, some clients keep a connection or never look up a"
            " name again. Whoever is still there is served; and the way back is one command until this is over.",
            checks=(
                checks.watch(of, DAY_S / 24),
                Check(
                    command="",
                    expects="old_requests falls to (nearly) none; who is left has pinned an address and must be found"
                    " before the old target goes",
                ),
            ),
            abort=checks.thresholds(of),
            back=self._traffic_back("keep-warm"),
            wait_s=of.keep_warm_s,
        )

    def _settle(self) -> Step:
        of = self._of
        after = changes.settled(of)
        swap = changes.replace(f"{of.name}: simple, to the new target", changes.weighted(of, WHOLE), after)
        return Step(
            id="settle",
            title="One batch: the weighted records become one simple record to the new target, with the TTL of before",
            why="Before the old target is deleted: a record that points at a name which is gone can be claimed by"
            " somebody else, at weight 0 too.",
            **self._change("settle", swap),
            checks=(Check(command=checks.list_records(of), expects=checks.said(*after)), checks.answers(of)),
            abort=checks.thresholds(of),
            back=self._back(
                "settle",
                "back to the old target, in one batch; the TTL of before has to run out",
                changes.replace(f"{of.name}: as it was", after, self._start),
            ),
            wait_s=PROPAGATION_S + max(of.ttl_s, of.low_ttl_s),
        )

    # -- the old target

    def _pause(self) -> Step:
        of = self._of
        stop, start = _stop_and_start(of)
        tried = tuple(one.command for one in checks.trials(of, of.source))
        return Step(
            id="pause",
            title="Stop the old target, and keep its configuration for a day",
            why="The last step that can be taken back: whoever still needs it is heard of now.",
            commands=(stop,),
            checks=(checks.watch(of, DAY_S / 24),),
            abort=("anybody misses it",),
            back=self._back(
                "pause",
                "start it, wait until it answers, and only then move the record",
                changes.replace(f"{of.name}: as it was", changes.settled(of), self._start),
                first=(start, *tried),
                delay_s=START_S,
            ),
            wait_s=DAY_S,
        )

    def _delete(self) -> Step:
        of = self._of
        return Step(
            id="delete",
            title="Delete the old target",
            why="There is no way back from here, so it comes last. App Runner takes no new customers, and a service"
            " that is made again has another name: what follows a mistake here is another cut-over.",
            commands=_removal(of),
            checks=(Check(command=checks.list_records(of), expects="nothing that points at the old target"),),
        )

    # -- what steps are made of

    def _change(self, id: str, batch: Batch) -> _Changing:
        return {"commands": (self._hand_in(f"{id}.json", batch),), "batch": batch}

    def _back(self, id: str, summary: str, *batches: Batch, first: tuple[str, ...] = (), delay_s: float = 0.0) -> Back:
        """Commands that come before the changes are ``first``; ``delay_s`` is what they take."""
        lines = tuple(self._hand_in(f"{id}-back-{number}.json", batch) for number, batch in enumerate(batches, 1))
        return Back(
            summary=summary,
            commands=first + lines,
            batches=batches,
            effect_s=delay_s + PROPAGATION_S + self._held_s(id) if batches else 0.0,
        )

    def _held_s(self, id: str) -> int:
        """For how long resolvers may hold an answer of this step."""
        of = self._of
        if id in ("settle", "pause"):
            return changes.settled(of)[0].ttl or of.low_ttl_s
        return max(self._lowered[0].ttl or 0, of.low_ttl_s) if id == "weights" else of.low_ttl_s

    def _hand_in(self, file: str, batch: Batch) -> str:
        """One line that hands in a batch and waits until every server of Route 53 has it; it fails with either."""
        self._files[file] = _json(to_api(batch))
        return (
            'aws route53 wait resource-record-sets-changed --id "$(aws route53 change-resource-record-sets'
            f' --hosted-zone-id {self._of.zone} --change-batch file://{file} --query ChangeInfo.Id --output text)"'
        )

    def _weights_are(self, percent: int) -> Check:
        return Check(
            command=checks.list_records(self._of), expects=f"weights {WHOLE - percent} (old) and {percent} (new)"
        )


def _stop_and_start(of: CutoverRequest) -> tuple[str, str]:
    if of.source.kind == "app-runner" and of.source.service:
        arn = f"--service-arn {quote(of.source.service)} --region {of.region}"
        return (f"aws apprunner pause-service {arn}", f"aws apprunner resume-service {arn}")
    if "/" in of.source.service:
        cluster, service = of.source.service.split("/", 1)
        which = f"aws ecs update-service --cluster {quote(cluster)} --service {quote(service)} --region {of.region}"
        note = "   # suspend its autoscaling first, or that starts tasks again"
        return (f"{which} --desired-count 0{note}", f'{which} --desired-count "$TASKS"   # as many as there were')
    return (f"# stop what {of.source.dns} stands for", f"# start what {of.source.dns} stands for")


def _removal(of: CutoverRequest) -> tuple[str, ...]:
    if of.source.kind == "app-runner" and of.source.service:
        arn = f"--service-arn {quote(of.source.service)} --region {of.region}"
        return (
            f"aws apprunner disassociate-custom-domain --domain-name {of.name} {arn}",
            f"aws apprunner delete-service {arn}",
        )
    if "/" in of.source.service:
        cluster, service = of.source.service.split("/", 1)
        which = f"--cluster {quote(cluster)} --service {quote(service)} --region {of.region}"
        return (f"aws ecs delete-service {which} --force",)
    return (f"# delete what {of.source.dns} stands for",)


def _json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"
