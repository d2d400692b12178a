"""Microsoft Teams: a workflow's webhook takes an adaptive card.

Texts are runs of a rich text block, which knows no markup, so that no name can be read as a link.

Source: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using (the
envelope, 28 KB, errors inside of 200), https://adaptivecards.io/explorer/RichTextBlock.html.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from holdfast.netpulse.core.delivery import Again, Answer, Outcome, Request, line, of_status
from holdfast.netpulse.core.message import Message, text_of
from holdfast.netpulse.core.settings import TeamsChannel

_TEXT_LIMIT: Final = 6000
"""Characters; at most four bytes each, so a card stays under the 28 KB that Teams takes."""
_COLOURS: Final = {"open": "attention", "acknowledged": "accent", "resolved": "good"}
_INNER_STATUS: Final = re.compile(r"HTTP error (\d{3})")


def request(channel: TeamsChannel, message: Message) -> Request:
    """One attempt."""
    links = (("Acknowledge", message.acknowledge_url), ("Incident", message.incident_url))
    text = text_of(message, links=False)[:_TEXT_LIMIT]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": message.title,
        "msteams": {"width": "Full"},
        "body": [
            _text(message.title, weight="Bolder", size="Medium", color=_COLOURS[message.status]),
            *(_text(paragraph) for paragraph in text.split("\n") if paragraph),
        ],
        "actions": [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in links if url],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    body = {"type": "message", "attachments": [attachment]}
    return Request(
        url=channel.webhook_url, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(body)
    )


def outcome(answer: Answer) -> Outcome:
    """202 (a workflow) and 200 (a connector) are sent, unless the body tells of an error behind the connector."""
    text = answer.body.decode("utf-8", "replace")
    if 200 <= answer.status < 300 and (inner := _INNER_STATUS.search(text)):
        inside = of_status(Answer(status=int(inner[1]), retry_after_s=answer.retry_after_s))
        return inside if not 200 <= int(inner[1]) < 300 else of_status(answer)
    if 200 <= answer.status < 300 and "delivery failed" in text.lower():
        return Again(f"answered {answer.status}, but with: {line(text, 200)}")
    return of_status(answer, detail=text)


def _text(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
