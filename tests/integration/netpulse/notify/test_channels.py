"""Each kind of channel against a server of its protocol: what arrives, and what its errors mean."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from aiohttp import web

from holdfast.netpulse.core.delivery import Again, Outcome, Refused, Sent
from holdfast.netpulse.core.incident import Condition, Incident, Member, State
from holdfast.netpulse.core.settings import (
    ChannelSettings,
    DiscordChannel,
    NtfyChannel,
    PagerDutyChannel,
    SlackChannel,
    TeamsChannel,
    TelegramChannel,
    WebhookChannel,
)
from holdfast.netpulse.core.signature import verify
from tests.integration.netpulse.notify.services import ACK, PAGE, Call, serving, tell
from tests.unit.netpulse.notify.memory import NOW, incident

pytestmark = pytest.mark.anyio

ACKNOWLEDGED = incident(state=State.ACKNOWLEDGED, acknowledged=NOW, acknowledged_by="ann")
RESOLVED = incident(state=State.RESOLVED, resolved=NOW + 60)
HOSTILE = "<!channel> @everyone [x](http://evil.test) <b>&amp; *_~`| "
"""A name that somebody chose."""


def huge() -> Incident:
    """Everything as long as it gets."""
    members = tuple(
        Member(
            monitor=f"default/{'ü' * 300}{number}",
            condition=Condition.DOWN,
            began=NOW,
            joined=NOW,
            evidence={f"f{n}": "é" * 2000 for n in range(20)},
        )
        for number in range(60)
    )
    return incident(title=HOSTILE + "ß" * 5000, members=members)


def answer(status: int, body: Any = None, **headers: str) -> web.Response:
    if isinstance(body, dict):
        return web.json_response(body, status=status, headers=headers)
    return web.Response(status=status, text=body or "", headers=headers)


def private(**kind: Any) -> ChannelSettings:
    return ChannelSettings(allow_private=True, **kind)


# ---------------------------------------------------------------- webhook


async def test_webhook_posts_signed_json_with_its_own_fields() -> None:
    async with serving(lambda _: answer(204)) as service:
        channel = WebhookChannel(url=f"{service.url}/hook?a=%2F", secret="s3cret", headers={"X-Team": "ops"})
        assert await tell(private(webhook=channel)) == Sent()
    (call,) = service.calls
    assert (call.path, call.query) == ("/hook", {"a": "/"})
    assert call.headers["x-team"] == "ops"
    assert call.headers["holdfast-notice"] == call.body["key"] == "inc_1/2/opened/ops"
    assert call.headers["user-agent"] == "holdfast-netpulse"
    body = msgspec.json.encode(call.body)
    assert verify("s3cret", call.headers["holdfast-signature"], body, now=NOW) is None


async def test_webhook_without_a_secret_is_not_signed() -> None:
    async with serving(lambda _: answer(200)) as service:
        await tell(private(webhook=WebhookChannel(url=service.url)))
    assert "holdfast-signature" not in service.calls[0].headers


async def test_webhook_fields_that_cannot_be_sent_are_refused_not_tried_for_ever() -> None:
    async with serving(lambda _: answer(200)) as service:
        outcome = await tell(private(webhook=WebhookChannel(url=service.url, headers={"X": "a\r\nY: b"})))
    assert isinstance(outcome, Refused)
    assert service.calls == []


# ---------------------------------------------------------------- Slack


def slack(call: Call) -> web.Response:
    """As hooks.slack.com answers."""
    sections = [block["text"]["text"] for each in call.body["attachments"] for block in each["blocks"]]
    if not call.body.get("text") or not all(0 < len(text) <= 3000 for text in sections):
        return answer(400, "invalid_payload")
    return answer(200, "ok")


async def test_slack_gets_a_message_with_links() -> None:
    async with serving(slack) as service:
        assert await tell(private(slack=SlackChannel(webhook_url=f"{service.url}/services/T/B/x"))) == Sent()
    body = service.calls[0].body
    assert body["text"] == "[DOWN] shop is down"
    text, links = (block["text"]["text"] for block in body["attachments"][0]["blocks"])
    assert text.startswith("shop is down since")
    assert links == f"<{ACK.replace('&', '&amp;')}|Acknowledge> · <{PAGE}|Incident>"


async def test_slack_mentions_nobody_whatever_a_name_looks_like() -> None:
    async with serving(slack) as service:
        assert await tell(private(slack=SlackChannel(webhook_url=service.url)), about=huge()) == Sent()
    assert "<!channel>" not in json.dumps(service.calls[0].body)
    assert "&lt;!channel&gt;" in service.calls[0].body["text"]


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(404, "no_service"), Refused("answered 404: no_service")),
        (answer(410, "channel_is_archived"), Refused("answered 410: channel_is_archived")),
        (answer(429, "", **{"Retry-After": "30"}), Again("answered 429", 30.0)),
        (answer(500, "rollup_error"), Again("answered 500: rollup_error")),
        (answer(200, {"ok": False, "error": "ratelimited"}), Again("answered 200, but with the error ratelimited")),
        (answer(200, {"ok": False, "error": "no_team"}), Refused("answered 200, but with the error 'no_team'")),
        (answer(200, "<html>Sign in to the guest network</html>"), Again("answered 200, but not with ok")),
    ],
)
async def test_slack_errors_are_seen_also_inside_of_200(reply: web.Response, outcome: Outcome) -> None:
    async with serving(lambda _: reply) as service:
        assert await tell(private(slack=SlackChannel(webhook_url=service.url))) == outcome


# ---------------------------------------------------------------- PagerDuty


class PagerDuty:
    """Alerts by dedup key, as the Events API keeps them."""

    def __init__(self) -> None:
        self.alerts: dict[str, str] = {}

    def __call__(self, call: Call) -> web.Response:
        event: Mapping[str, Any] = call.body
        payload = event.get("payload", {})
        errors = []
        if len(event.get("routing_key", "")) != 32:
            errors.append("'routing_key' is invalid")
        if event["event_action"] == "trigger" and not (
            0 < len(payload.get("summary", "")) <= 1024
            and payload.get("source")
            and payload.get("severity") in {"critical", "error", "warning", "info"}
        ):
            errors.append("'payload' is missing or invalid")
        if not 0 < len(event.get("dedup_key", "")) <= 255:
            errors.append("'dedup_key' is invalid")
        if errors:
            return answer(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})
        states = {"trigger": "triggered", "acknowledge": "acknowledged", "resolve": "resolved"}
        if event["event_action"] == "trigger" or event["dedup_key"] in self.alerts:
            self.alerts[event["dedup_key"]] = states[event["event_action"]]
        return answer(202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]})


KEY = "0123456789abcdef0123456789abcdef"


async def test_pagerduty_has_one_alert_for_an_incident_from_trigger_to_resolve() -> None:
    pagerduty = PagerDuty()
    async with serving(pagerduty) as service:
        channel = private(pagerduty=PagerDutyChannel(routing_key=KEY, url=f"{service.url}/v2/enqueue"))
        for event, about, state in (
            ("opened", incident(), "triggered"),
            ("opened", incident(), "triggered"),  # a repetition
            ("escalated", incident(), "triggered"),
            ("acknowledged", ACKNOWLEDGED, "acknowledged"),
            ("resolved", RESOLVED, "resolved"),
        ):
            assert await tell(channel, event, about) == Sent("inc_1")
            assert pagerduty.alerts == {"inc_1": state}
    trigger = service.calls[0].body
    assert trigger["payload"]["severity"] == "critical"
    assert trigger["links"][0] == {"href": ACK, "text": "Acknowledge"}
    assert service.calls[-1].body == {"routing_key": KEY, "event_action": "resolve", "dedup_key": "inc_1"}


async def test_pagerduty_takes_the_largest_message() -> None:
    async with serving(PagerDuty()) as service:
        assert await tell(private(pagerduty=PagerDutyChannel(routing_key=KEY, url=service.url)), about=huge()) == Sent(
            "inc_1"
        )


async def test_pagerduty_refuses_a_key_for_good_and_says_why() -> None:
    async with serving(PagerDuty()) as service:
        outcome = await tell(private(pagerduty=PagerDutyChannel(routing_key="short", url=service.url)))
    assert outcome == Refused("answered 400: 'routing_key' is invalid")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (
            answer(429, {"status": "throttle exceeded", "message": "Requests exceed"}),
            Again("answered 429: Requests exceed"),
        ),
        (answer(500), Again("answered 500")),
        (answer(202, "oops"), Again("answered 202, but with the status 'None'")),
        (
            answer(202, {"status": "invalid event", "errors": ["no"]}),
            Refused("answered 202, but with the status 'invalid event': no"),
        ),
    ],
)
async def test_pagerduty_errors(reply: web.Response, outcome: Outcome) -> None:
    async with serving(lambda _: reply) as service:
        assert await tell(private(pagerduty=PagerDutyChannel(routing_key=KEY, url=service.url))) == outcome


# ---------------------------------------------------------------- Discord


def discord(call: Call) -> web.Response:
    """As discord.com answers, with its limits."""
    for embed in call.body["embeds"]:
        if len(embed["title"]) > 256 or len(embed["description"]) > 4096:
            return answer(400, {"code": 50035, "message": "Invalid Form Body"})
    return answer(200, {"id": "9001"}) if call.query.get("wait") == "true" else answer(204)


async def test_discord_gets_an_embed_and_says_its_id() -> None:
    async with serving(discord) as service:
        url = f"{service.url}/api/webhooks/1/token?thread_id=7"
        assert await tell(private(discord=DiscordChannel(webhook_url=url))) == Sent("9001")
    call = service.calls[0]
    assert call.query == {"thread_id": "7", "wait": "true"}
    (embed,) = call.body["embeds"]
    assert (embed["title"], embed["url"]) == ("\\[DOWN\\] shop is down", PAGE)
    assert embed["description"].endswith(f"[Acknowledge](<{ACK}>) · [Incident](<{PAGE}>)")


async def test_discord_mentions_nobody_and_shows_no_markup_of_names() -> None:
    async with serving(discord) as service:
        assert await tell(private(discord=DiscordChannel(webhook_url=service.url)), about=huge()) == Sent("9001")
    body = service.calls[0].body
    assert body["allowed_mentions"] == {"parse": []}
    assert "[x](http" not in body["embeds"][0]["title"]


async def test_discord_says_in_the_body_how_long_to_wait() -> None:
    limited = answer(429, {"message": "You are being rate limited.", "retry_after": 64.57, "global": False})
    async with serving(lambda _: limited) as service:
        outcome = await tell(private(discord=DiscordChannel(webhook_url=service.url)))
    assert outcome == Again("answered 429", 64.57)


async def test_discord_refuses_a_webhook_that_was_deleted() -> None:
    async with serving(lambda _: answer(404, {"message": "Unknown Webhook", "code": 10015})) as service:
        outcome = await tell(private(discord=DiscordChannel(webhook_url=service.url)))
    assert outcome == Refused("answered 404: Unknown Webhook")


# ---------------------------------------------------------------- Telegram


def telegram(call: Call) -> web.Response:
    """As api.telegram.org answers."""
    if call.path != "/bot123:abc/sendMessage":
        return answer(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
    if not 0 < len(call.body["text"].encode("utf-16-le")) // 2 <= 4096:
        return answer(400, {"ok": False, "error_code": 400, "description": "Bad Request: message is too long"})
    return answer(200, {"ok": True, "result": {"message_id": 42}})


def a_bot(url: str, token: str = "123:abc") -> ChannelSettings:
    return private(telegram=TelegramChannel(bot_token=token, chat_id="-100", url=url))


async def test_telegram_gets_plain_text_with_links() -> None:
    async with serving(telegram) as service:
        assert await tell(a_bot(service.url)) == Sent("42")
    body = service.calls[0].body
    assert body["text"].startswith("[DOWN] shop is down\nshop is down since")
    assert body["text"].endswith(f"Acknowledge: {ACK}\nIncident: {PAGE}")
    assert "parse_mode" not in body


async def test_telegram_keeps_the_links_of_the_longest_message() -> None:
    async with serving(telegram) as service:
        assert await tell(a_bot(service.url), about=huge()) == Sent("42")
    assert service.calls[0].body["text"].endswith(PAGE)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (
            answer(
                429,
                {"ok": False, "error_code": 429, "description": "Too Many", "parameters": {"retry_after": 8}},
            ),
            Again("answered 429: Too Many", 8.0),
        ),
        (
            answer(200, {"ok": False, "error_code": 429, "description": "Too Many", "parameters": {"retry_after": 3}}),
            Again("answered 429: Too Many", 3.0),
        ),
        (
            answer(200, {"ok": False, "error_code": 403, "description": "Forbidden: bot was kicked"}),
            Refused("answered 403: Forbidden: bot was kicked"),
        ),
        (answer(200, {"ok": False, "description": "no"}), Refused("answered 200, but not ok: no")),
        (answer(200, "<html>"), Again("answered 200, but not as Telegram does")),
        (answer(502, "<html>"), Again("answered 502")),
    ],
)
async def test_telegram_errors_are_seen_also_inside_of_200(reply: web.Response, outcome: Outcome) -> None:
    async with serving(lambda _: reply) as service:
        assert await tell(a_bot(service.url)) == outcome


async def test_telegrams_token_is_in_no_reason_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(telegram) as service:
        outcome = await tell(a_bot(service.url, token="999:hidden"))
    assert outcome == Refused("answered 401: Unauthorized")
    assert "hidden" not in repr(outcome) + caplog.text


# ---------------------------------------------------------------- Teams


def teams(call: Call) -> web.Response:
    """As a workflow answers: 202 and nothing."""
    if len(msgspec.json.encode(call.body)) > 28 * 1024:
        return answer(413, "Payload too large")
    (attachment,) = call.body["attachments"]
    if attachment["contentType"] != "application/vnd.microsoft.card.adaptive":
        return answer(400, "Bad payload")
    return answer(202)


async def test_teams_gets_an_adaptive_card() -> None:
    async with serving(teams) as service:
        assert await tell(private(teams=TeamsChannel(webhook_url=service.url))) == Sent()
    card = service.calls[0].body["attachments"][0]["content"]
    assert card["body"][0]["inlines"][0]["text"] == "[DOWN] shop is down"
    assert [action["url"] for action in card["actions"]] == [ACK, PAGE]


async def test_teams_takes_the_largest_message() -> None:
    async with serving(teams) as service:
        assert await tell(private(teams=TeamsChannel(webhook_url=service.url)), about=huge()) == Sent()


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(200, "1"), Sent()),
        (
            answer(200, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"),
            Again("answered 429"),
        ),
        (
            answer(200, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 403"),
            Refused("answered 403"),
        ),
        (
            answer(200, "Webhook message delivery failed"),
            Again("answered 200, but with: Webhook message delivery failed"),
        ),
        (answer(404, "gone"), Refused("answered 404: gone")),
    ],
)
async def test_teams_errors_are_seen_also_inside_of_200(reply: web.Response, outcome: Outcome) -> None:
    async with serving(lambda _: reply) as service:
        assert await tell(private(teams=TeamsChannel(webhook_url=service.url))) == outcome


# ---------------------------------------------------------------- ntfy


def ntfy(call: Call) -> web.Response:
    """As ntfy.sh answers, with a topic that is protected."""
    if call.body["topic"] == "secret" and call.headers.get("authorization") != "Bearer tk_1":
        return answer(403, {"code": 40301, "http": 403, "error": "forbidden"})
    if len(call.body["message"].encode()) > 4096 or not 1 <= call.body["priority"] <= 5:
        return answer(400, {"code": 40008, "http": 400, "error": "invalid message"})
    return answer(200, {"id": "sPs71M8A2T", "event": "message"})


async def test_ntfy_rings_for_a_page_and_less_for_what_follows() -> None:
    async with serving(ntfy) as service:
        channel = private(ntfy=NtfyChannel(topic="ops", url=service.url))
        for event, about in (
            ("opened", incident()),
            ("opened", incident(severity="ticket")),
            ("acknowledged", ACKNOWLEDGED),
            ("resolved", RESOLVED),
        ):
            assert await tell(channel, event, about) == Sent("sPs71M8A2T")
    bodies = [call.body for call in service.calls]
    assert [body["priority"] for body in bodies] == [5, 3, 2, 3]
    assert [action["label"] for action in bodies[0]["actions"]] == ["Acknowledge", "Incident"]
    assert [action["label"] for action in bodies[3]["actions"]] == ["Incident"]
    assert bodies[0]["click"] == PAGE


async def test_ntfy_takes_the_largest_message_and_a_token() -> None:
    async with serving(ntfy) as service:
        assert isinstance(await tell(private(ntfy=NtfyChannel(topic="secret", url=service.url))), Refused)
        channel = private(ntfy=NtfyChannel(topic="secret", url=service.url, token="tk_1"))
        assert await tell(channel, about=huge()) == Sent("sPs71M8A2T")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(429, {"code": 42901, "error": "limit reached"}), Again("answered 429: limit reached")),
        (answer(200, "<html>"), Again("answered 200, but not as ntfy does")),
    ],
)
async def test_ntfy_errors(reply: web.Response, outcome: Outcome) -> None:
    async with serving(lambda _: reply) as service:
        assert await tell(private(ntfy=NtfyChannel(topic="ops", url=service.url))) == outcome


# ---------------------------------------------------------------- what all of them have in common


ALL: dict[str, Callable[[str], Any]] = {
    "webhook": lambda url: WebhookChannel(url=url),
    "slack": lambda url: SlackChannel(webhook_url=url),
    "pagerduty": lambda url: PagerDutyChannel(routing_key=KEY, url=url),
    "discord": lambda url: DiscordChannel(webhook_url=url),
    "telegram": lambda url: TelegramChannel(bot_token="123:abc", chat_id="1", url=url),
    "teams": lambda url: TeamsChannel(webhook_url=url),
    "ntfy": lambda url: NtfyChannel(topic="ops", url=url),
}


@pytest.mark.parametrize("kind", ALL)
async def test_a_channel_that_does_not_answer_is_tried_again(kind: str) -> None:
    released = asyncio.Event()

    async def hang() -> web.Response:
        await released.wait()
        return answer(200)

    async with serving(lambda _: answer(200)) as service:
        service.trouble = [hang]
        outcome = await tell(private(**{kind: ALL[kind](service.url)}), timeout_s=0.1)
        released.set()
    assert outcome == Again("no answer within 0.1 s")


@pytest.mark.parametrize("kind", ALL)
async def test_500_and_429_are_tried_again_and_404_is_not(kind: str) -> None:
    async with serving(lambda _: answer(404)) as service:
        channel = private(**{kind: ALL[kind](service.url)})
        service.trouble = [lambda: answer(500), lambda: answer(429, **{"Retry-After": "7"})]
        assert isinstance(await tell(channel), Again)
        limited = await tell(channel)
        assert isinstance(limited, Again)
        assert limited.after_s == 7
        assert isinstance(await tell(channel), Refused)


SERVICES: dict[str, Callable[[Call], web.Response]] = {
    "webhook": lambda _: answer(200),
    "slack": slack,
    "pagerduty": PagerDuty(),
    "discord": discord,
    "telegram": telegram,
    "teams": teams,
    "ntfy": ntfy,
}


@pytest.mark.parametrize("kind", ALL)
async def test_a_message_without_links_arrives_everywhere(kind: str) -> None:
    async with serving(SERVICES[kind]) as service:
        assert isinstance(await tell(private(**{kind: ALL[kind](service.url)}), links=False), Sent)
