"""PagerDuty: Events API version 2. The incident's id is the ``dedup_key`` of all of its events.

Source: https://developer.pagerduty.com/docs/send-alert-event (fields and lengths, answers 202, 400, 429).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.netpulse.core.delivery import Again, Answer, Outcome, Refused, Request, body_object, line, of_status
from holdfast.netpulse.core.message import Message, rfc3339, text_of
from holdfast.netpulse.core.settings import PagerDutyChannel

_SUMMARY_LIMIT: Final = 1024
_ACTIONS: Final = {"acknowledged": "acknowledge", "resolved": "resolve"}
_SEVERITIES: Final = {"page": "critical", "ticket": "warning"}


def request(channel: PagerDutyChannel, message: Message) -> Request:
    """One attempt. A test triggers an alert of severity *info*; whoever gets it resolves it there."""
    action = _ACTIONS.get(message.status, "trigger")
    event: dict[str, Any] = {
        "routing_key": channel.routing_key,
        "event_action": action,
        "dedup_key": message.incident[:255],
    }
    if action == "trigger":
        links = (("Acknowledge", message.acknowledge_url), ("Incident", message.incident_url))
        event |= {
            "client": "Holdfast",
            "client_url": message.incident_url,
            "links": [{"href": url, "text": text} for text, url in links if url],
            "payload": {
                "summary": message.title[:_SUMMARY_LIMIT],
                "source": message.members[0] if message.members else "holdfast",
                "severity": "info" if message.event == "test" else _SEVERITIES.get(message.severity, "error"),
                "timestamp": rfc3339(message.at),
                "class": message.condition or message.event,
                "custom_details": {"notice": message.key, "text": text_of(message, links=False)},
            },
        }
    return Request(url=channel.url, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(event))


def outcome(answer: Answer) -> Outcome:
    """202 with ``status: success`` is sent. 400 is refused: the event would be no better the next time."""
    found = body_object(answer)
    errors = found.get("errors")
    said = "; ".join(map(str, errors)) if isinstance(errors, list) else str(found.get("message", ""))
    if not 200 <= answer.status < 300:
        return of_status(answer, detail=said)
    if found.get("status") == "success":
        return of_status(answer, reference=str(found.get("dedup_key", ""))[:255])
    why = f"answered {answer.status}, but with the status {line(str(found.get('status')), 100)!r}"
    if found.get("status") == "invalid event":
        return Refused(f"{why}: {line(said, 200)}")
    return Again(why)
