"""Who is told, and who is not."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from holdfast.netpulse.core.status import StatusView, Update, UpdateStatus, status_view
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.status import StatusUpdates, Subscribers, subscribers
from tests.unit.netpulse.status.documents import Memory, Outgoing
from tests.unit.netpulse.status.views import NOW, incident, source, stamp

T = TypeVar("T")
ADA, HOOK = "ada@example.org", "https://example.org/hook"


class House:
    """A list over memory, with a clock that tests turn."""

    def __init__(self) -> None:
        self.now = NOW
        self.memory, self.out = Memory(), Outgoing()
        self.list = self.again()

    def again(self) -> Subscribers:
        """As after a restart."""
        return Subscribers(
            self.memory,
            self.out,
            title="Acme\nstatus",
            api_url="https://pulse.example/",
            by_mail=True,
            wall=lambda: self.now,
            entropy=lambda count: b"k" * count,
        )

    def token(self) -> str:
        """Of the link in the last mail."""
        found = re.search(r"token=([0-9a-f.]+)", self.out.mails[-1][2])
        assert found
        return found[1]

    async def join(self, target: str = ADA, kind: str = "email") -> None:
        """Subscribe and confirm."""
        assert await self.list.ask(kind, target) is None
        text = self.out.mails[-1][2] if kind == "email" else self.out.posts[-1][1].decode()
        found = re.search(r"token=([0-9a-f.]+)", text)
        assert found
        assert await self.list.confirm(found[1])


def run(case: Callable[[House], Awaitable[T]]) -> T:
    """A case in a house of its own."""

    async def inside() -> T:
        return await case(House())

    return asyncio.run(inside())


def news(*updates: Update) -> StatusView:
    """A view with an incident of now, and what people wrote of it."""
    return status_view(source(incidents=[incident(opened=stamp(-1))], updates={"inc_1": list(updates)}), now=NOW + 10)


def test_nobody_is_told_before_they_have_confirmed() -> None:
    async def case(house: House) -> None:
        await house.list.ask("email", ADA)
        assert await house.list.tell(news()) == 0
        assert [subject for _, subject, _, _ in house.out.mails] == ["Confirm: updates of Acme status"]

    run(case)


def test_who_confirmed_is_told_each_update_once_with_a_link_that_ends_it() -> None:
    async def case(house: House) -> None:
        await house.join()
        assert await house.list.tell(news()) == 1
        assert await house.list.tell(news()) == 0
        assert await house.again().tell(news()) == 0, "nor after a restart"
        to, subject, text, headers = house.out.mails[-1]
        assert (to, subject) == (ADA, "[Acme status] investigating: Shop is not reachable")
        assert "https://status.acme.example/incidents/inc_1.html" in text
        assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert await house.list.end(house.token())
        later = Update(id="u", at=NOW + 5, status=UpdateStatus.MONITORING, body="Better.", written=True)
        assert await house.list.tell(news(later)) == 0

    run(case)


def test_what_was_said_before_they_came_is_not_told() -> None:
    async def case(house: House) -> None:
        house.now = NOW + 60
        await house.join()
        assert await house.list.tell(news()) == 0

    run(case)


def test_what_failed_is_tried_again_and_others_do_not_wait_for_it() -> None:
    async def case(house: House) -> None:
        await house.join()
        await house.join("bo@example.org")
        house.out.failing = {ADA}
        assert await house.list.tell(news()) == 1
        house.out.failing = set()
        assert await house.list.tell(news()) == 1
        assert house.out.mails[-1][0] == ADA

    run(case)


def test_an_address_that_fails_too_often_is_dropped() -> None:
    async def case(house: House) -> None:
        await house.join()
        house.out.failing = {ADA}
        for _ in range(subscribers.ATTEMPTS):
            await house.list.tell(news())
        house.out.failing = set()
        assert await house.list.tell(news()) == 0

    run(case)


def test_a_webhook_confirms_and_gets_json() -> None:
    async def case(house: House) -> None:
        await house.join(HOOK, "webhook")
        assert await house.list.tell(news()) == 1
        url, body = house.out.posts[-1]
        told = json.loads(body)
        assert url == HOOK
        assert (told["incident"]["components"], told["update"]["status"]) == (["Shop"], "investigating")
        assert b"secret" not in body

    run(case)


def test_asking_again_sends_nothing_new_for_a_while_and_says_nothing_about_it() -> None:
    async def case(house: House) -> None:
        await house.list.ask("email", "ada@EXAMPLE.org")
        assert await house.list.ask("email", ADA) is None
        assert len(house.out.mails) == 1
        house.now += subscribers.ASK_AGAIN_S
        assert await house.list.ask("email", ADA) is None
        assert len(house.out.mails) == 2

    run(case)


def test_a_confirmation_is_good_for_a_day() -> None:
    async def case(house: House) -> None:
        await house.list.ask("email", ADA)
        token = house.token()
        house.now += subscribers.CONFIRM_WITHIN_S + 1
        assert not await house.list.confirm(token)
        await house.list.ask("email", "bo@example.org")
        assert not await house.list.confirm(token)

    run(case)


@pytest.mark.parametrize("token", ["", ".", "x.y", "0" * 24 + "." + "0" * 40, "é.é"])
def test_a_link_that_is_not_ours_does_nothing(token: str) -> None:
    async def case(house: House) -> None:
        await house.join()
        assert not await house.list.confirm(token)
        assert not await house.list.end(token)
        assert await house.list.tell(news()) == 1

    run(case)


def test_a_link_that_confirms_does_not_end_and_the_other_way_round() -> None:
    async def case(house: House) -> None:
        await house.list.ask("email", ADA)
        assert not await house.list.end(house.token())

    run(case)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("email", "ada"),
        ("email", "ada@example.org\r\nBcc: all@example.org"),
        ("email", "ada@exa..mple"),
        ("webhook", "http://example.org/plain"),
        ("webhook", "https://user:pw@example.org"),
        ("webhook", "https://" + "x" * 1000),
        ("webhook", "https://[::1"),
        ("pigeon", "coop"),
    ],
)
def test_what_cannot_be_an_address_is_refused(kind: str, target: str) -> None:
    async def case(house: House) -> None:
        assert await house.list.ask(kind, target)
        assert (house.out.mails, house.out.posts) == ([], [])

    run(case)


def test_confirmations_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "ASKS_PER_HOUR", 2)

    async def case(house: House) -> None:
        for n in range(3):
            await house.list.ask("email", f"n{n}@example.org")
        assert len(house.out.mails) == 2
        house.now += 3601
        assert await house.list.ask("email", "n2@example.org") is None
        assert len(house.out.mails) == 3

    run(case)


def test_the_list_is_bounded_and_makes_room_for_those_who_never_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "MOST_SUBSCRIBERS", 1)

    async def case(house: House) -> None:
        await house.list.ask("email", ADA)
        assert "full" in (await house.list.ask("email", "bo@example.org") or "")
        house.now += subscribers.CONFIRM_WITHIN_S + 1
        assert await house.list.ask("email", "bo@example.org") is None

    run(case)


def test_what_people_write_is_kept_by_incident_and_checked() -> None:
    async def case(house: House) -> None:
        updates = StatusUpdates(house.memory)
        first = await updates.add("inc_1", "identified", " A cable. ", now=NOW)
        await updates.add("inc_1", "resolved", "Mended.", now=NOW + 1)
        kept = (await updates.by_incident())["inc_1"]
        assert (first.body, [update.status for update in kept]) == ("A cable.", ["identified", "resolved"])
        for status, body in (("broken", "x"), ("resolved", " "), ("resolved", "x" * 5000)):
            with pytest.raises(Invalid):
                await updates.add("inc_1", status, body, now=NOW)
        await updates.forget(before=NOW + 2)
        assert await updates.by_incident() == {}

    run(case)
