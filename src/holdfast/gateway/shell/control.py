"""The control API, mounted behind the data plane's port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Litestar, get

if TYPE_CHECKING:
    from holdfast.gateway.shell.plane.gateway import Gateway


def control_app(gateway: Gateway) -> Any:
    """The ASGI application of everything that is no model's work."""
    return Litestar(route_handlers=[healthz, readyz], openapi_config=None, logging_config=None)


@get("/healthz", sync_to_thread=False)
def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


@get("/readyz", sync_to_thread=False)
def readyz() -> dict[str, str]:
    """It answers requests."""
    return {"status": "ok"}
