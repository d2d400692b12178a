"""Slack: an incoming webhook.

Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (payload, errors) and
https://docs.slack.dev/messaging/formatting-message-text (three characters are escaped).
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.netpulse.core.delivery import Again, Answer, Outcome, Refused, Request, body_object, of_status
from holdfast.netpulse.core.message import Message, text_of
from holdfast.netpulse.core.settings import SlackChannel

_TEXT_LIMIT: Final = 2900
"""Characters of a section; Slack takes 3000."""
_LATER: Final = frozenset(
    ("ratelimited", "rate_limited", "internal_error", "fatal_error", "request_timeout", "service_unavailable")
)
"""Errors that are about the moment."""


def request(channel: SlackChannel, message: Message) -> Request:
    """One attempt."""
    links = [
        f"<{_escaped(url)}|{text}>"
        for text, url in (("Acknowledge", message.acknowledge_url), ("Incident", message.incident_url))
        if url
    ]
    text = _escaped(text_of(message, links=False)[:_TEXT_LIMIT])[:_TEXT_LIMIT]
    sections = [text, " · ".join(links)] if links else [text]
    body = {
        "text": _escaped(message.title),
        "unfurl_links": False,
        "attachments": [
            {
                "color": message.colour,
                "fallback": _escaped(message.summary),
                "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": section}} for section in sections],
            }
        ],
    }
    return Request(
        url=channel.webhook_url, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(body)
    )


def outcome(answer: Answer) -> Outcome:
    """200 ``ok`` is sent. 200 with ``{"ok": false}`` is not, nor is a page that some proxy put in between."""
    text = answer.body.strip().decode("utf-8", "replace")
    if not 200 <= answer.status < 300:
        return of_status(answer, detail=text)
    if text == "ok":
        return of_status(answer)
    found = body_object(answer)
    if found.get("ok") is True:
        return of_status(answer)
    error = found.get("error")
    if isinstance(error, str) and error not in _LATER:
        return Refused(f"answered {answer.status}, but with the error {error[:100]!r}")
    return Again(f"answered {answer.status}, but {'with the error ' + error[:100] if error else 'not with ok'}")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
