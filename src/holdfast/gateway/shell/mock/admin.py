"""What a test may ask of the scripted provider while it runs: its ledger, its figures, its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import msgspec

from holdfast.gateway.shell.mock.faults import parse_fault
from holdfast.gateway.shell.mock.orders import BadOrder, duration

if TYPE_CHECKING:
    from holdfast.gateway.shell.mock.provider import MockProvider
    from holdfast.http1 import RequestHead

_JSON: Final = b"application/json"
_LINES: Final = b"application/x-ndjson"
_REFUSE: Final = "refuse="


def administer(provider: MockProvider, head: RequestHead, body: bytes, *, trusted: bool) -> tuple[int, bytes, bytes]:
    """Answer a request below ``/mock/``: status, content type and body. Only loopback is trusted."""
    path, _, query = head.target.decode("ascii").partition("?")
    if not trusted:
        return 403, _JSON, _told("only clients on loopback may administer the mock")
    match head.method, path:
        case b"GET", "/mock/ledger":
            since = (parse_qs(query).get("since") or ["0"])[0]
            if not since.isdigit():
                return 400, _JSON, _told("since is the number of an entry")
            return 200, _LINES, provider.ledger.lines(int(since))
        case b"DELETE", "/mock/ledger":
            provider.ledger.clear()
        case b"GET", "/mock/stats":
            stats = provider.ledger.stats() | {"connections_open": provider.connections}
            return 200, _JSON, msgspec.json.encode(stats)
        case b"GET", "/mock/faults":
            faults = [
                {"fault": fault.text, "left": fault.left, "served": fault.served} for fault in provider.plan.faults
            ]
            return 200, _JSON, msgspec.json.encode(faults)
        case b"POST", "/mock/faults":
            try:
                _order(provider, body.decode())
            except (BadOrder, ValueError) as error:
                return 400, _JSON, _told(str(error))
        case b"DELETE", "/mock/faults":
            provider.plan.clear()
        case _:
            return 404, _JSON, _told("known are ledger, stats and faults")
    return 200, _JSON, b"{}"


def _order(provider: MockProvider, text: str) -> None:
    """One fault a line, all or none; ``refuse=2s`` closes the listener for a while."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pauses = [duration(line.removeprefix(_REFUSE)) for line in lines if line.startswith(_REFUSE)]
    for fault in [parse_fault(line) for line in lines if not line.startswith(_REFUSE)]:
        provider.plan.add(fault)
    for pause in pauses:
        provider.loop.call_soon(provider.refuse, pause)  # once this is answered: idle connections are closed as well


def _told(message: str) -> bytes:
    return msgspec.json.encode({"error": {"message": message}})
