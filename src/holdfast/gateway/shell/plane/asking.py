"""What a call asks: by whom, of which model, how much of it; and whether it may."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.guard import guard_for
from holdfast.gateway.core.ports import Holder, Need
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.plane.ask import Ask
from holdfast.gateway.shell.plane.call import Call, header
from holdfast.gateway.shell.plane.permits import ANONYMOUS
from holdfast.identity import Scope

if TYPE_CHECKING:
    from holdfast.gateway.core.endpoints import Endpoint
    from holdfast.gateway.shell.plane.gateway import Gateway

_JSON: Final = b"application/json"
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=]{512,}")


class Asking:
    """Reads calls into :class:`~.ask.Ask`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def who(self, call: Call) -> Holder:
        """Whom a call is for. Raises :class:`Refused`."""
        key = _presented(call)
        principal = await self._gateway.identities.authenticate(key, now=self._gateway.wall()) if key else None
        if principal is None:
            anonymous = self._gateway.settings.anonymous
            if anonymous is None or key.startswith("hf_"):
                raise Refused(
                    "unauthenticated",
                    "no valid API key; send 'Authorization: Bearer hf_...' (`holdfast key create` makes one)",
                    code="invalid_api_key",
                )
            return Holder(tenant=anonymous.tenant, key_id=ANONYMOUS, tags=_tags(call))
        if not principal.may(Scope.GATEWAY_USE):
            raise Refused("forbidden", "this key may not ask models; it lacks the scope gateway:use")
        return await self._gateway.permits.holder(principal, _tags(call))

    async def list_models(self, call: Call, endpoint: Endpoint) -> None:
        """``GET /v1/models``: those that the key may use."""
        holder = await self.who(call)
        names = [name for name in self._gateway.routes.models if self._gateway.permits.allows(holder, name)]
        anthropic = bool(call.field(b"anthropic-version"))
        if endpoint.model is not None:
            if endpoint.model not in names:
                self._gateway.routes.find(endpoint.model)
            call.send(200, msgspec.json.encode(_model(endpoint.model, anthropic=anthropic)), media_type=_JSON)
            return
        data = [_model(name, anthropic=anthropic) for name in names]
        body: dict[str, Any] = {"object": "list", "data": data}
        if anthropic:
            body = {
                "data": data,
                "has_more": False,
                "first_id": names[0] if names else None,
                "last_id": names[-1] if names else None,
            }
        call.send(200, msgspec.json.encode(body), media_type=_JSON)

    async def read(self, call: Call, endpoint: Endpoint) -> Ask:
        """A request for a model's work, permitted. Raises :class:`Refused`."""
        holder = call.seen.holder = await self.who(call)
        if len(self._gateway.engine.calls) > self._gateway.settings.admission.max_in_flight:
            raise Refused("overloaded", "the gateway has too many requests in flight", retry_after_s=1, retryable=True)
        body = call.take_body()
        ask = Ask(call, endpoint, self._gateway.dialects[endpoint.protocol], body)
        ask.holder = holder
        ask.wall = call.seen.wall
        call.seen.model, call.seen.stream = ask.model, ask.stream
        ask.told = Told(id=call.request_id.removeprefix("req_"), model=ask.model, created=int(ask.wall))
        if self._gateway.settings.log.content == "redacted":
            call.seen.content = excerpt(body, int(self._gateway.settings.log.bound) // 2)
        self.permit(ask)
        return ask

    def permit(self, ask: Ask) -> None:
        """Find the route, and whether it may be taken. Raises :class:`Refused`."""
        gateway, holder = self._gateway, ask.holder
        ask.route = gateway.routes.find(ask.model)
        if not gateway.permits.allows(holder, ask.model):
            raise Refused("forbidden", f"this key may not use the model {ask.model[:100]!r}", param="model")
        ask.need = self._need(ask)
        wait_s = gateway.permits.take(holder, ask.need.tokens, gateway.clock())
        if wait_s > 0:
            raise Refused(
                "rate_limited",
                f"more requests or tokens a minute than this key may; come back in {wait_s:.1f} s",
                retry_after_s=wait_s,
                retryable=True,
            )
        if ask.endpoint.kind == "chat":
            self._watch(ask)

    def _watch(self, ask: Ask) -> None:
        """The guardrails of the route: before the request goes anywhere. Raises :class:`Refused` (``blocked``)."""
        settings = ask.route.settings
        name = "default" if settings is None or settings.guardrails is None else settings.guardrails
        policy = self._gateway.policies.get(name)
        if policy is None:
            return
        guard = guard_for(policy)
        chat = guard.before(ask.chat)
        if chat is not ask.chat:
            ask.chat = chat
            ask.rewritten = True
        ask.call.seen.findings = guard.findings
        if not guard.stream().is_idle:
            ask.guard = guard

    def _need(self, ask: Ask) -> Need:
        first = ask.route.tiers[0][0]
        endpoint = ask.endpoint
        if endpoint.kind != "chat":
            tokens = max(1, self._estimate(first, ask.body))
            return Need(tokens=tokens, input_tokens=tokens, priority=self._gateway.permits.priority(ask.holder))
        most = ask.count("max_completion_tokens", "max_tokens", "max_output_tokens")
        read = self._estimate(first, ask.body)
        return Need(
            tokens=read + self._gateway.estimator.expected_output(first, most),
            input_tokens=read,
            max_output=most,
            tools=ask.has("tools"),
            vision=_has_images(ask.body),
            json_schema=b'"json_schema"' in ask.body,
            priority="batch"
            if ask.call.field(b"x-holdfast-priority") == "batch"
            else self._gateway.permits.priority(ask.holder),
            key=ask.affinity(),
        )

    async def count(self, call: Call, endpoint: Endpoint) -> None:
        """``count_tokens``: our estimate, said to be one."""
        ask = await self.read(call, endpoint)
        tokens = ask.need.input_tokens
        body = {"totalTokens": tokens} if ask.endpoint.protocol == "gemini" else {"input_tokens": tokens}
        ask.call.send(200, msgspec.json.encode(body), [header("x-holdfast-estimated", "true")], media_type=_JSON)

    def _estimate(self, deployment: str, body: bytes) -> int:
        """Input tokens of a body, before anybody counts them."""
        images, media = _media(body) if b"base64" in body or b'"data"' in body else (0, 0)
        return self._gateway.estimator.estimate(len(body), deployment, images=images, media_bytes=media)


def excerpt(body: bytes, most: int) -> str:
    """The beginning of a body, for a log that redacts it: whole words, so that nothing is cut beyond recognition."""
    text = body[:most].decode("utf-8", "replace")
    return text if len(body) <= most else text[: max(text.rfind(" "), 0)] + " ..."


def _presented(call: Call) -> str:
    """The key that a client shows, in whichever way its protocol has."""
    authorization = call.field(b"authorization")
    if authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    return call.field(b"x-api-key") or call.field(b"api-key") or call.field(b"x-goog-api-key")


def _tags(call: Call) -> tuple[str, ...]:
    text = call.field(b"x-holdfast-tags")
    if not text:
        return ()
    tags = tuple(tag.strip() for tag in text.split(",") if tag.strip())
    if len(tags) > 8 or any(len(tag) > 64 or not tag.isprintable() for tag in tags):
        raise Refused("invalid_request", "x-holdfast-tags: at most 8 tags of at most 64 printable characters")
    return tags


def _media(body: bytes) -> tuple[int, int]:
    """How many pictures or files stand in a body, and about how many bytes of it they are."""
    found = [match.end() - match.start() for match in _BASE64.finditer(body)]
    return len(found), sum(found)


def _has_images(body: bytes) -> bool:
    return b'"image' in body or b'"input_image"' in body or b'"inlineData"' in body


def _model(name: str, *, anthropic: bool) -> dict[str, Any]:
    if anthropic:
        return {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": 0, "owned_by": "holdfast"}
