"""The endpoints of virtual keys: of one's own tenant, with no more than one's own scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, QueryParameter

from holdfast.gateway.core.validate import ranges
from holdfast.gateway.shell.control.bodies import ChangedKey, KeyBody, KeysBody, MadeKeyBody, NewKey
from holdfast.gateway.shell.control.problems import ProblemError
from holdfast.gateway.shell.control.service import Asking, Service, Svc, answer, require
from holdfast.gateway.shell.ledger.keys import LIST_LIMIT
from holdfast.identity import ROLES, Principal, Scope
from holdfast.kernel import Duration
from holdfast.web.decoding import decode_json
from holdfast.web.problems import Fault
from holdfast.web.times import moment, timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.gateway.core.settings import LimitSettings
    from holdfast.gateway.shell.ledger import VirtualKey
    from holdfast.identity import ApiKey

_NEW: Final = msgspec.json.Decoder(NewKey)
_CHANGED: Final = msgspec.json.Decoder(ChangedKey)
_LONGEST_S: Final = 3650 * 86_400.0


@post("/v1/keys", status_code=201)
async def create_key(request: Asking, service: Svc) -> Response[MadeKeyBody]:
    """Make a key. Its text is in this answer and nowhere else."""
    user = request.user
    require(user, Scope.KEYS_WRITE)
    body = decode_json(_NEW, await request.body())
    _check(body.limits)
    role = _role(user, body.scopes)
    key, made, text = await service.gateway.permits.book.create(
        user.tenant,
        team=body.team,
        user=body.user,
        limits=body.limits,
        tags=body.tags,
        role=role,
        scopes=body.scopes,
        name=body.name,
        expires=_expiry(body.expires, service.gateway.wall()),
        actor=user.key_id,
    )
    shown = msgspec.structs.asdict(_shown(key, made, service.gateway.wall()))
    return answer(MadeKeyBody(**shown, key=text), status=201)


@get("/v1/keys")
async def list_keys(
    request: Asking,
    service: Svc,
    limit: Annotated[int, QueryParameter(ge=1, le=LIST_LIMIT - 1, description="Most keys in the page.")] = 100,
    offset: Annotated[int, QueryParameter(ge=0, le=1_000_000, description="`next` of the page before.")] = 0,
) -> Response[KeysBody]:
    """The tenant's virtual keys, newest first; those that were made on the command line have no limits of their own."""
    user = request.user
    require(user, Scope.KEYS_WRITE, Scope.GATEWAY_ADMIN)
    found = await service.gateway.permits.book.list(user.tenant, limit=limit + 1, offset=offset)
    records = await _records(service, user)
    now = service.gateway.wall()
    shown = [_shown(key, records[key.key_id], now) for key in found[:limit] if key.key_id in records]
    return answer(KeysBody(keys=shown, next=offset + limit if len(found) > limit else None))


@get("/v1/keys/{id:str}")
async def read_key(request: Asking, service: Svc, id: FromPath[str]) -> Response[KeyBody]:
    """A key; never its text."""
    require(request.user, Scope.KEYS_WRITE, Scope.GATEWAY_ADMIN)
    return answer(await _found(service, request.user, id))


@patch("/v1/keys/{id:str}")
async def change_key(request: Asking, service: Svc, id: FromPath[str]) -> Response[KeyBody]:
    """Change whose it is and what it may do; holds at once, in every process."""
    user = request.user
    require(user, Scope.KEYS_WRITE)
    body = decode_json(_CHANGED, await request.body())
    book = service.gateway.permits.book
    before = await book.get(id, tenant=user.tenant)
    if before is None:
        raise _unknown()
    limits = before.limits if isinstance(body.limits, msgspec.UnsetType) else body.limits
    _check(limits)
    key = await book.update(
        id,
        tenant=user.tenant,
        team=before.team if isinstance(body.team, msgspec.UnsetType) else body.team,
        user=before.user if isinstance(body.user, msgspec.UnsetType) else body.user,
        limits=limits,
        tags=before.tags if isinstance(body.tags, msgspec.UnsetType) else body.tags,
    )
    if key is None:
        raise _unknown()
    await service.note(
        user, "key.change", id, {"fields": [name for name in body.__struct_fields__ if _told(body, name)]}
    )
    return answer(await _found(service, user, id))


@delete("/v1/keys/{id:str}", status_code=200)
async def revoke_key(request: Asking, service: Svc, id: FromPath[str]) -> Response[KeyBody]:
    """End a key for good, at once and everywhere; streams that it began end as well. What it used stays in reports."""
    user = request.user
    require(user, Scope.KEYS_WRITE)
    book = service.gateway.permits.book
    if await book.get(id, tenant=user.tenant) is None:
        raise _unknown()
    await book.revoke(id, tenant=user.tenant, actor=user.key_id)
    return answer(await _found(service, user, id))


async def _records(service: Service, user: Principal) -> dict[str, ApiKey]:
    return {each.id: each for each in await service.gateway.identities.list_keys(user.tenant)}


async def _found(service: Service, user: Principal, id: str) -> KeyBody:
    key = await service.gateway.permits.book.get(id, tenant=user.tenant)
    record = None if key is None else (await _records(service, user)).get(id)
    if key is None or record is None:
        raise _unknown()
    return _shown(key, record, service.gateway.wall())


def _unknown() -> ProblemError:
    return ProblemError("not-found", "there is no such key")


def _told(body: ChangedKey, name: str) -> bool:
    return not isinstance(getattr(body, name), msgspec.UnsetType)


def _shown(key: VirtualKey, record: ApiKey, now: float) -> KeyBody:
    return KeyBody(
        id=key.key_id,
        name=record.name,
        state=record.state(now),
        team=key.team,
        user=key.user,
        limits=key.limits,
        tags=list(key.tags),
        scopes=sorted(record.scopes),
        created=timestamp(key.created),
        created_by=key.created_by,
        expires=timestamp(record.expires),
        last_used=timestamp(record.last_used),
    )


def _check(limits: LimitSettings | None) -> None:
    found = [] if limits is None else list(ranges(("limits",), limits))
    if found:
        faults = [Fault(path=".".join(map(str, each.path)), message=each.message, remedy=each.remedy) for each in found]
        text = f"{faults[0].path}: {faults[0].message}; {faults[0].remedy}"
        raise ProblemError("invalid-request", text, field=faults[0].path, errors=faults)


def _role(user: Principal, scopes: Sequence[str]) -> str:
    """The narrowest role that has these scopes. Raises :class:`ProblemError` for more than the caller's own."""
    wanted = set(scopes)
    known = {scope.value for scope in Scope}
    if not wanted <= known:
        unknown = ", ".join(sorted(wanted - known))[:200]
        raise ProblemError("invalid-request", f"scopes: there is no {unknown}", field="scopes")
    if not wanted <= {scope.value for scope in user.scopes}:
        beyond = ", ".join(sorted(wanted - {scope.value for scope in user.scopes}))
        raise ProblemError("forbidden", f"scopes: this key has not {beyond} itself", field="scopes")
    fitting = [name for name, has in ROLES.items() if wanted <= {scope.value for scope in has}]
    if not fitting:
        raise ProblemError("invalid-request", "scopes: no role has all of these; make two keys", field="scopes")
    return min(fitting, key=lambda name: len(ROLES[name]))


def _expiry(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    try:
        at = now + Duration.parse(text)
    except ValueError:
        try:
            at = moment(text)
        except ValueError as wrong:
            raise ProblemError(
                "invalid-request", f"expires: {wrong}, or after how long, like 30d", field="expires"
            ) from None
    if not now < at < now + _LONGEST_S:
        raise ProblemError("invalid-request", "expires: has to be after now, within ten years", field="expires")
    return at
