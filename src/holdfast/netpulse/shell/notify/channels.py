"""The kinds of channels: which module writes and reads for which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from holdfast.kernel.settings import Section
from holdfast.netpulse.core.delivery import Answer, Outcome, Request, Sent
from holdfast.netpulse.core.message import Message
from holdfast.netpulse.core.settings import ChannelSettings
from holdfast.netpulse.core.validate import channel_kind
from holdfast.netpulse.shell.notify import (
    alertmanager,
    discord,
    email,
    ntfy,
    pagerduty,
    slack,
    teams,
    telegram,
    webhook,
)
from holdfast.netpulse.shell.notify.http import Network


class Http(NamedTuple):
    """A kind of channel that is one HTTP request."""

    request: Callable[..., Request | None]
    """``(settings of the kind, message, now=...)``; ``None``: this kind has nothing to say of it."""
    outcome: Callable[[Answer], Outcome]


def _timeless(request: Callable[..., Request]) -> Callable[..., Request]:
    """For kinds whose request is the same at any time."""

    def at_any_time(channel: Section, message: Message, *, now: float) -> Request:  # noqa: ARG001
        return request(channel, message)

    return at_any_time


HTTP: Final[Mapping[str, Http]] = {
    "webhook": Http(webhook.request, webhook.outcome),
    "slack": Http(_timeless(slack.request), slack.outcome),
    "pagerduty": Http(_timeless(pagerduty.request), pagerduty.outcome),
    "discord": Http(_timeless(discord.request), discord.outcome),
    "telegram": Http(_timeless(telegram.request), telegram.outcome),
    "teams": Http(_timeless(teams.request), teams.outcome),
    "ntfy": Http(_timeless(ntfy.request), ntfy.outcome),
    "alertmanager": Http(alertmanager.request, alertmanager.outcome),
}


async def send(
    network: Network, channel: ChannelSettings, message: Message, *, now: float, timeout_s: float, last: bool
) -> Outcome:
    """One attempt, within ``timeout_s``. ``now``: seconds since the epoch. ``last``: there will be no other."""
    if channel.email is not None:
        return await email.send(
            network, channel.email, message, timeout_s=timeout_s, allow_private=channel.allow_private, last=last
        )
    kind = channel_kind(channel)
    request = HTTP[kind].request(getattr(channel, kind), message, now=now)
    if request is None:
        return Sent("nothing to say")
    answer = await network.request(request, timeout_s=timeout_s, allow_private=channel.allow_private)
    return HTTP[kind].outcome(answer) if isinstance(answer, Answer) else answer
