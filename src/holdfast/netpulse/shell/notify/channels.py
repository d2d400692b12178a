"""The kinds of channels: which module writes and reads for which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.netpulse.core.delivery import Answer, Outcome, Refused, Request, Sent
from holdfast.netpulse.core.message import Message
from holdfast.netpulse.core.settings import ChannelSettings
from holdfast.netpulse.shell.notify import webhook
from holdfast.netpulse.shell.notify.http import Network


class Http(NamedTuple):
    """A kind of channel that is one HTTP request."""

    request: Callable[..., Request | None]
    """``(settings of the kind, message, now=...)``; ``None``: this kind has nothing to say of it."""
    outcome: Callable[[Answer], Outcome]


HTTP: Final[Mapping[str, Http]] = {
    "webhook": Http(webhook.request, webhook.outcome),
}


def kind_of(channel: ChannelSettings) -> tuple[str, Any]:
    """Name and settings of a channel's kind. Raises ``ValueError`` unless it has exactly one."""
    kinds = [
        (field, kind)
        for field in channel.__struct_fields__
        if isinstance(kind := getattr(channel, field), msgspec.Struct)
    ]
    if len(kinds) != 1:
        raise ValueError("a channel is of exactly one kind")
    return kinds[0]


async def send(
    network: Network, channel: ChannelSettings, message: Message, *, now: float, timeout_s: float, last: bool
) -> Outcome:
    """One attempt, within ``timeout_s``. ``last``: there will be no other."""
    try:
        kind, settings = kind_of(channel)
        request = HTTP[kind].request(settings, message, now=now)
    except ValueError as error:
        return Refused(str(error))
    if request is None:
        return Sent("nothing to say")
    answer = await network.request(request, timeout_s=timeout_s, allow_private=channel.allow_private)
    return HTTP[kind].outcome(answer) if isinstance(answer, Answer) else answer
