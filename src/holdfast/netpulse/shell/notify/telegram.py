"""Telegram: a bot writes to a chat, in plain text, so that no name can be read as markup.

Links are in the text, not in buttons: Telegram refuses a whole message for a button whose address is not public.

Source: https://core.telegram.org/bots/api#making-requests (``ok``, ``parameters.retry_after``) and #sendmessage.
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.netpulse.core.delivery import Again, Answer, Outcome, Refused, Request, body_object, line, of_status
from holdfast.netpulse.core.message import Message, text_of
from holdfast.netpulse.core.settings import TelegramChannel

_TEXT_LIMIT: Final = 2000
"""Characters. Telegram takes 4096 UTF-16 units, of which a character is at most two."""


def request(channel: TelegramChannel, message: Message) -> Request:
    """One attempt. The token is in the address, as Telegram wants it: addresses are never logged."""
    links = "".join(
        f"\n{name}: {url}"
        for name, url in (("Acknowledge", message.acknowledge_url), ("Incident", message.incident_url))
        if url
    )
    text = f"{message.title}\n{text_of(message, links=False)}"[: max(200, _TEXT_LIMIT - len(links))]
    body = {
        "chat_id": channel.chat_id,
        "text": f"{text}\n{links}" if links else text,
        "link_preview_options": {"is_disabled": True},
        "disable_notification": message.status != "open",
    }
    return Request(
        url=f"{channel.url.rstrip('/')}/bot{channel.bot_token}/sendMessage",
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(body),
    )


def outcome(answer: Answer) -> Outcome:
    """``ok: true`` is sent. ``ok: false`` carries the status in its body, whatever the answer's own one is."""
    found = body_object(answer)
    if found.get("ok") is True and 200 <= answer.status < 300:
        result = found.get("result")
        return of_status(answer, reference=str(result.get("message_id", "")) if isinstance(result, dict) else "")
    said = str(found.get("description", ""))
    if found.get("ok") is False:
        code, parameters = found.get("error_code"), found.get("parameters")
        after_s = parameters.get("retry_after") if isinstance(parameters, dict) else None
        status = code if isinstance(code, int) and code >= 400 else answer.status
        if status < 400:
            return Refused(f"answered {answer.status}, but not ok: {line(said, 200)}")
        after_s = float(after_s) if isinstance(after_s, int | float) else answer.retry_after_s
        return of_status(Answer(status=status, retry_after_s=after_s), detail=said)
    if 200 <= answer.status < 300:
        return Again(f"answered {answer.status}, but not as Telegram does")
    return of_status(answer)
