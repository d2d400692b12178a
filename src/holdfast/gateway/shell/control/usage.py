"""The endpoints of usage, costs and budgets: of the tenant whose key asks."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias, cast

import msgspec
from litestar import Response, get, post
from litestar.params import QueryParameter

from holdfast.gateway.core.money import usd
from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.shell.control.bodies import (
    BudgetBody,
    BudgetsBody,
    CostRow,
    CostsBody,
    ReconcileBody,
    ReconciledBody,
    UsageBody,
)
from holdfast.gateway.shell.control.problems import ProblemError
from holdfast.gateway.shell.control.service import Asking, Service, Svc, answer, require
from holdfast.gateway.shell.ledger import Page, ProviderReport, Query
from holdfast.gateway.shell.ledger.reports import MAX_PAGE, Dimension
from holdfast.gateway.shell.plane.permits import ANONYMOUS
from holdfast.identity import Principal, Scope
from holdfast.kernel import Duration
from holdfast.web.decoding import decode_json
from holdfast.web.streams import streamed
from holdfast.web.times import moment, timestamp

DEFAULT_S: Final = 30 * 86_400.0
DIMENSIONS: Final = ("key", "model", "deployment", "team", "user", "tag", "day", "outcome", "kind")
_FORMATS: Final = {"csv": "text/csv", "jsonl": "application/jsonl"}
_RECONCILE: Final = msgspec.json.Decoder(ReconcileBody)

Time: TypeAlias = Annotated[
    str | None,
    QueryParameter(max_length=40, description="A day of UTC (`2026-11-22`), RFC 3339, or how long ago: `24h`."),
]
By: TypeAlias = Annotated[
    str, QueryParameter(max_length=200, description=f"Grouped by these, with commas: {', '.join(DIMENSIONS)}.")
]
Where: TypeAlias = Annotated[
    list[str] | None, QueryParameter(description="`model=gpt-4o`: only attempts of which it is so; may be repeated.")
]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="Most groups in the page.")]
Offset: TypeAlias = Annotated[int, QueryParameter(ge=0, le=10_000_000, description="`next` of the page before.")]
Tenant: TypeAlias = Annotated[
    str | None, QueryParameter(max_length=63, description="For keys with `operate`; every tenant when absent.")
]


@get("/v1/usage")
async def read_usage(
    request: Asking,
    service: Svc,
    since: Time = None,
    until: Time = None,
    by: By = "model",
    where: Where = None,
    limit: Limit = 100,
    offset: Offset = 0,
    tenant: Tenant = None,
) -> Response[UsageBody]:
    """Requests, attempts and tokens, by whatever they are grouped. Whole days of UTC; the last 30 unless asked."""
    query = _query(request.user, service, since, until, by, where, tenant, limit=limit, offset=offset)
    page = await service.reports.usage(query)
    return answer(UsageBody(since=timestamp(query.since), until=timestamp(query.until), rows=page.rows, next=page.next))


@get("/v1/costs")
async def read_costs(
    request: Asking,
    service: Svc,
    since: Time = None,
    until: Time = None,
    by: By = "model",
    where: Where = None,
    limit: Limit = 100,
    offset: Offset = 0,
    tenant: Tenant = None,
) -> Response[CostsBody]:
    """What it cost. ``unpriced`` attempts are in no cost: nobody knows their price."""
    query = _query(request.user, service, since, until, by, where, tenant, limit=limit, offset=offset)
    page = await service.reports.usage(query)
    total = await service.reports.usage(
        Query(tenant=query.tenant, since=query.since, until=query.until, where=query.where)
    )
    return answer(_costs(query, page, total))


@get("/v1/usage/export")
async def export_usage(
    request: Asking,
    service: Svc,
    since: Time = None,
    until: Time = None,
    where: Where = None,
    format: Annotated[Literal["csv", "jsonl"], QueryParameter(description="How it is written.")] = "csv",  # noqa: A002 - its name outside
    tenant: Tenant = None,
) -> Response[Any]:
    """Every attempt, in the order in which they began."""
    query = _query(request.user, service, since, until, "", where, tenant)
    name = f"usage-{timestamp(query.since)[:10]}-{timestamp(query.until)[:10]}.{format}"
    return await streamed(
        request.scope,
        service.reports.export(query, format),
        media_type=_FORMATS[format],
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


@get("/v1/budgets")
async def read_budgets(
    request: Asking,
    service: Svc,
    key: Annotated[
        str | None, QueryParameter(max_length=64, description="Of a key of the tenant; else one's own.")
    ] = None,
) -> Response[BudgetsBody]:
    """What is left of every budget that a key is under, whether and why it refuses, and when it begins anew."""
    user = request.user
    require(user, Scope.GATEWAY_READ, Scope.GATEWAY_USE)
    holder = await _holder(service, user, key)
    found = await service.gateway.ledger.explain_budget(holder)
    return answer(BudgetsBody(key=holder.key_id, budgets=[BudgetBody(**each) for each in found]))


@post("/v1/usage/reconcile", status_code=200)
async def reconcile(request: Asking, service: Svc) -> Response[ReconciledBody]:
    """Tell what a provider says of attempts whose end nobody here saw; they are charged as reserved until then.

    Of the tenant's attempts, with ``operate`` of everybody's.
    """
    user = request.user
    require(user, Scope.GATEWAY_ADMIN, Scope.OPERATE)
    body = decode_json(_RECONCILE, await request.body())
    reports = [
        ProviderReport(
            attempt=each.attempt,
            usage=None
            if each.unseen
            else Usage(
                input_tokens=each.input_tokens,
                output_tokens=each.output_tokens,
                cache_read_tokens=each.cache_read_tokens,
                cache_write_tokens=each.cache_write_tokens,
                reasoning_tokens=each.reasoning_tokens,
            ),
            cost_nano=each.cost_nano,
        )
        for each in body.attempts
    ]
    whose = None if user.may(Scope.OPERATE) else user.tenant
    made = await service.gateway.ledger.reconcile(reports, tenant=whose)
    detail = {"changed": made.changed, "difference_nano": made.difference_nano}
    await service.note(user, "usage.reconcile", f"{len(reports)} attempts", detail)
    return answer(
        ReconciledBody(
            changed=made.changed,
            unknown=list(made.unknown),
            unpriced=list(made.unpriced),
            difference_nano=made.difference_nano,
            difference=usd(made.difference_nano),
        )
    )


async def _holder(service: Service, user: Principal, key: str | None) -> Holder:
    """Whose budgets are asked for. Raises :class:`ProblemError` for a key of another tenant."""
    permits = service.gateway.permits
    if key is None or key == user.key_id:
        if user.key_id == ANONYMOUS:
            return Holder(tenant=user.tenant, key_id=ANONYMOUS)
        return await permits.holder(user, ())
    require(user, Scope.GATEWAY_READ)
    found = await permits.book.get(key, tenant=user.tenant)
    if found is None:
        raise ProblemError("not-found", "there is no such key")
    return await permits.holder(Principal(tenant=found.tenant, key_id=found.key_id, scopes=frozenset()), ())


def _query(
    user: Principal,
    service: Service,
    since: str | None,
    until: str | None,
    by: str,
    where: list[str] | None,
    tenant: str | None,
    *,
    limit: int = 100,
    offset: int = 0,
) -> Query:
    require(user, Scope.GATEWAY_READ, Scope.OPERATE)
    whose: str | None = user.tenant
    if user.may(Scope.OPERATE):
        whose = tenant
    elif tenant not in (None, user.tenant):
        raise ProblemError("forbidden", "tenant: this key sees its own tenant alone", field="tenant")
    now = service.gateway.wall()
    end = _time("until", until, now, now)
    begin = _time("since", since, now, max(0.0, end - DEFAULT_S))
    names = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    chosen = []
    for text in where or ():
        name, equals, value = text.partition("=")
        if not equals or len(value) > 200:
            raise ProblemError("invalid-request", "where: write NAME=VALUE, like model=gpt-4o", field="where")
        chosen.append((name, value))
    allowed = (*DIMENSIONS, "tenant") if whose is None else DIMENSIONS
    for parameter, name in (*(("by", name) for name in names), *(("where", name) for name, _ in chosen)):
        if name not in allowed:
            text = f"{parameter}: there is no {name[:40]!r}; there are {', '.join(allowed)}"
            raise ProblemError("invalid-request", text, field=parameter)
    try:
        query = Query(
            tenant=whose,
            since=begin,
            until=end,
            by=cast("tuple[Dimension, ...]", names),
            where=cast("tuple[tuple[Dimension, str], ...]", tuple(chosen)),
            limit=limit,
            offset=offset,
        )
        for name, value in chosen:
            if name == "day":
                moment(f"{value}T00:00:00Z")
    except ValueError as wrong:
        raise ProblemError("invalid-request", str(wrong)) from None
    return query


def _time(name: str, text: str | None, now: float, default: float) -> float:
    if text is None:
        return default
    try:
        return max(0.0, now - Duration.parse(text))
    except ValueError:
        pass
    try:
        # A plus of an offset that was not quoted arrives as a space.
        return max(0.0, moment(f"{text}T00:00:00Z" if len(text) == 10 else text.replace(" ", "+")))
    except ValueError as wrong:
        raise ProblemError("invalid-request", f"{name}: {wrong}, or a day, or how long ago", field=name) from None


def _costs(query: Query, page: Page, total: Page) -> CostsBody:
    whole = total.rows[0]
    return CostsBody(
        since=timestamp(query.since),
        until=timestamp(query.until),
        cost_nano=whole.cost_nano,
        cost=whole.cost,
        unpriced=whole.unpriced,
        rows=[
            CostRow(
                group=row.group,
                requests=row.requests,
                attempts=row.attempts,
                cost_nano=row.cost_nano,
                cost=row.cost,
                unpriced=row.unpriced,
                estimated=row.estimated,
            )
            for row in page.rows
        ],
        next=page.next,
    )
