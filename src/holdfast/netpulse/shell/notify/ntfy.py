"""ntfy: publishes to a topic, as JSON, so that any character may be in a title.

Source: https://docs.ntfy.sh/publish/#publish-as-json (fields, priorities 1 to 5, actions), #limitations (4096 bytes).
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.netpulse.core.delivery import Again, Answer, Outcome, Request, body_object, of_status
from holdfast.netpulse.core.message import Message, text_of
from holdfast.netpulse.core.settings import NtfyChannel

_BYTES: Final = 4000
"""Of a message; what is longer than 4096 becomes an attachment."""
_TAGS: Final = {"open": "rotating_light", "acknowledged": "eyes", "resolved": "white_check_mark"}


def request(channel: NtfyChannel, message: Message) -> Request:
    """One attempt. A page has the priority that breaks through, a ticket an ordinary one, an end a low one."""
    urgent = message.status == "open" and message.severity == "page"
    body: dict[str, object] = {
        "topic": channel.topic,
        "title": message.title,
        "message": text_of(message, links=False).encode()[:_BYTES].decode("utf-8", "ignore"),
        "priority": 5 if urgent else 3 if message.status != "acknowledged" else 2,
        "tags": [_TAGS[message.status]],
        "actions": [
            {"action": "view", "label": label, "url": url, "clear": True}
            for label, url in (("Acknowledge", message.acknowledge_url), ("Incident", message.incident_url))
            if url
        ],
    }
    if message.incident_url:
        body["click"] = message.incident_url
    headers = {"Content-Type": "application/json"}
    if channel.token:
        headers["Authorization"] = f"Bearer {channel.token}"
    return Request(url=channel.url.rstrip("/") + "/", headers=headers, body=msgspec.json.encode(body))


def outcome(answer: Answer) -> Outcome:
    """200 with the message's id is sent."""
    found = body_object(answer)
    if 200 <= answer.status < 300:
        if isinstance(id := found.get("id"), str):
            return of_status(answer, reference=id[:64])
        return Again(f"answered {answer.status}, but not as ntfy does")
    return of_status(answer, detail=str(found.get("error", "")))
