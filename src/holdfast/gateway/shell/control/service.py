"""What the endpoints share: who asks, what they may, and how they are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from holdfast.gateway.shell.control.problems import ProblemError
from holdfast.gateway.shell.plane.permits import ANONYMOUS
from holdfast.identity import Principal, Scope
from holdfast.web import trail
from holdfast.web.rates import Buckets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.gateway.shell.ledger import Reports
    from holdfast.gateway.shell.observing import Observers
    from holdfast.gateway.shell.observing.exposition import Exposition
    from holdfast.gateway.shell.plane.gateway import Gateway

REQUESTS_PER_S: Final = 50.0
"""Of one tenant, in this process; a page of the console asks for a handful of things."""
REQUESTS_BURST: Final = 200.0


class Service:
    """The gateway, what is known of its requests, and the tenants' rates."""

    def __init__(self, gateway: Gateway, observers: Observers, reports: Reports, exposition: Exposition) -> None:
        self.gateway = gateway
        self.observers = observers
        self.reports = reports
        self.exposition = exposition
        self._rates = Buckets(REQUESTS_PER_S, REQUESTS_BURST)

    async def authenticated(self, key: str | None) -> Principal:
        """Who asks. Raises :class:`ProblemError` and ``StoreUnavailable``.

        Where the gateway serves whoever has no key (on this machine alone), they may read what they used themselves.
        """
        gateway = self.gateway
        anonymous = gateway.settings.anonymous
        if anonymous is not None and (key is None or not key.startswith("hf_")):
            scopes = frozenset({Scope.GATEWAY_USE, Scope.GATEWAY_READ})
            return Principal(tenant=anonymous.tenant, key_id=ANONYMOUS, scopes=scopes)
        if key is None:
            raise ProblemError("unauthenticated", "no API key was sent; use 'Authorization: Bearer KEY' or 'X-API-Key'")
        principal = await gateway.identities.authenticate(key, now=gateway.wall())
        if principal is None:
            raise ProblemError("unauthenticated", "this API key is not valid (any more); make one, or check for typos")
        return principal

    def count(self, tenant: str) -> None:
        """Count a request. Raises :class:`ProblemError` when the tenant asks too often."""
        wait_s = self._rates.take(tenant, self.gateway.clock())
        if wait_s:
            # Whoever waits comes back at different times.
            wait_s *= 1 + self.gateway.rng.random() / 2
            text = f"more than {REQUESTS_PER_S:g} requests per second to the control API; slow down"
            raise ProblemError("request-rate", text, retry_after_s=wait_s)

    async def note(
        self, principal: Principal, action: str, target: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write down what was done."""
        await trail.write_down(self.gateway.identities, principal, action, target, detail, now=self.gateway.wall())


Asking: TypeAlias = Request[Principal, Any, Any]
Svc: TypeAlias = NamedDependency[SkipValidation[Service]]


async def who(request: Request[Any, Any, Any]) -> Principal:
    """Whose request it is: the door has asked. For routers of others."""
    principal: Principal = request.user
    return principal


def require(principal: Principal, *scopes: Scope) -> None:
    """Raise :class:`ProblemError` unless the key carries one of the scopes."""
    if not any(principal.may(scope) for scope in scopes):
        raise ProblemError("forbidden", f"this key lacks the scope {scopes[0].value!r}; use one that has it")


def answer(value: Any, *, status: int = 200) -> Response[Any]:
    """A body of JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
