"""Discord: a webhook, one embed a message. Nobody is mentioned, whatever a name looks like.

Source: https://discord.com/developers/docs/resources/webhook#execute-webhook (``wait`` makes it answer with the
message), https://discord.com/developers/docs/resources/message#embed-object-embed-limits (lengths),
https://discord.com/developers/docs/topics/rate-limits (429 with ``retry_after``).
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from yarl import URL

from holdfast.netpulse.core.delivery import Again, Answer, Outcome, Request, body_object, of_status
from holdfast.netpulse.core.message import Message, rfc3339, text_of
from holdfast.netpulse.core.settings import DiscordChannel

_TITLE_LIMIT: Final = 256
_TEXT_LIMIT: Final = 4096
_MARKDOWN: Final = re.compile(r"([\\*_~`|>\[\]()#-])")


def request(channel: DiscordChannel, message: Message) -> Request:
    """One attempt. With ``wait``, the answer comes once the message is stored, and says its id."""
    text = _MARKDOWN.sub(r"\\\1", text_of(message, links=False))
    links = " · ".join(
        f"[{name}](<{url}>)"
        for name, url in (("Acknowledge", message.acknowledge_url), ("Incident", message.incident_url))
        if url
    )
    room = _TEXT_LIMIT - len(links) - 2
    embed: dict[str, Any] = {
        "title": _MARKDOWN.sub(r"\\\1", message.title)[:_TITLE_LIMIT],
        "description": f"{text[:room]}\n\n{links}" if links and room > 0 else text[:_TEXT_LIMIT],
        "color": int(message.colour[1:], 16),
        "timestamp": rfc3339(message.at),
        "footer": {"text": message.incident[:256]},
    }
    if message.incident_url:
        embed["url"] = message.incident_url
    body = {"embeds": [embed], "allowed_mentions": {"parse": []}}
    url = URL(channel.webhook_url, encoded=True)
    return Request(
        url=str(url.update_query(wait="true")),
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(body),
    )


def outcome(answer: Answer) -> Outcome:
    """200 is sent. Of 429 the body says how long, in fractions of a second; the field only in whole ones."""
    found = body_object(answer)
    if answer.status == 429 and isinstance(after_s := found.get("retry_after"), int | float):
        return Again("answered 429", max(float(after_s), answer.retry_after_s or 0.0))
    return of_status(answer, detail=str(found.get("message", "")), reference=str(found.get("id", ""))[:64])
