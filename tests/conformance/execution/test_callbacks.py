"""Callbacks on either store: from the end of a job to a receiver that checks the signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest

from holdfast.execution.core.settings import CallbackSettings
from holdfast.execution.shell.callbacks import Callbacks, calling_back
from holdfast.execution.shell.queue import CallbackOutbox
from holdfast.identity import Identities
from holdfast.testing import eventually
from tests.integration.execution.receiver import Delivery, receiving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.execution.core.ports import JobView
    from holdfast.store import Database
    from tests.conformance.execution.world import World

pytestmark = pytest.mark.anyio

SETTINGS = CallbackSettings(allow_private=True, attempts=2)
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Running:
    """The loop, and what it works on."""

    callbacks: Callbacks
    outbox: CallbackOutbox
    identities: Identities

    async def settled(self) -> None:
        """Until a look finds nothing to do."""
        decided = self.callbacks.outcomes.total()
        self.callbacks.wake()
        await eventually(lambda: self.callbacks.outcomes.total() > decided and not self.callbacks.under_way)


@asynccontextmanager
async def calling(world: World, database: Database, settings: CallbackSettings = SETTINGS) -> AsyncIterator[Running]:
    identities = Identities(database)
    await identities.open()

    def render(job: JobView) -> bytes:
        return json.dumps({"id": job.id, "status": job.status, "verdict": job.verdict}).encode()

    async with calling_back(
        database,
        settings,
        identities=identities,
        job=world.queue.job,
        render=render,
        rng=Random(1),
        clock=lambda: world.now,
    ) as callbacks:
        yield Running(callbacks, CallbackOutbox(database), identities)
    await identities.close()


async def finished(world: World, url: str, tenant: str = "t") -> str:
    """A job that wanted to be called back, at its end."""
    job = await world.submit(tenant, callback_url=url)
    await world.finish(await world.claim())
    return job


def signed_with(secret: str, delivery: Delivery) -> bool:
    """As a receiver would check it, by the standard's text alone."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{delivery.headers['webhook-id']}.{delivery.headers['webhook-timestamp']}.".encode() + delivery.body
    expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return expected in delivery.headers["webhook-signature"].split(" ")


async def test_the_end_of_a_job_is_told_and_the_receiver_can_check_who_tells_it(
    world: World, database: Database
) -> None:
    async with receiving() as receiver, calling(world, database) as running:
        job = await finished(world, f"http://127.0.0.1:{receiver.port}/hook")
        await running.settled()
        (delivery,) = receiver.deliveries
        assert json.loads(delivery.body) == {"id": job, "status": "finished", "verdict": "ok"}
        assert delivery.headers["content-type"] == "application/json"
        (secret,) = await running.identities.callback_secrets("t", now=world.now)
        (other,) = await running.identities.callback_secrets("other", now=world.now)
        assert signed_with(secret.text, delivery)
        assert not signed_with(other.text, delivery)
        assert await running.outbox.next_due() is None


async def test_while_a_secret_is_changed_over_both_will_do(world: World, database: Database) -> None:
    async with receiving() as receiver, calling(world, database) as running:
        await running.identities.callback_secrets("t", now=world.now)
        new, old = await running.identities.rotate_callback_secret("t", overlap_s=60, now=world.now)
        await finished(world, f"http://127.0.0.1:{receiver.port}/")
        await running.settled()
        assert all(signed_with(secret.text, receiver.deliveries[0]) for secret in (new, old))
        world.now += 60
        await finished(world, f"http://127.0.0.1:{receiver.port}/")
        await running.settled()
        assert signed_with(new.text, receiver.deliveries[1])
        assert not signed_with(old.text, receiver.deliveries[1])


async def test_a_call_that_fails_too_often_is_a_dead_letter_that_can_be_replayed(
    world: World, database: Database
) -> None:
    async with receiving(BUSY, BUSY) as receiver, calling(world, database) as running:
        job = await finished(world, f"http://127.0.0.1:{receiver.port}/")
        await running.settled()
        world.now += 100
        await running.settled()
        (letter,) = await running.outbox.dead_letters("t", limit=10)
        assert (letter.job, letter.attempts, letter.error) == (job, 2, "answered 503")
        assert await running.outbox.dead_letters("other", limit=10) == []
        assert await running.outbox.replay("other", jobs=None, now=world.now) == 0
        assert await running.outbox.replay("t", jobs=[job], now=world.now) == 1
        assert await running.outbox.replay("t", jobs=[job], now=world.now) == 0
        await running.settled()
        assert await running.outbox.dead_letters("t", limit=10) == []
        assert len({delivery.headers["webhook-id"] for delivery in receiver.deliveries}) == 1
        assert len(receiver.deliveries) == 3


async def test_a_callback_to_this_machine_is_a_dead_letter_at_once(world: World, database: Database) -> None:
    async with receiving() as receiver, calling(world, database, CallbackSettings()) as running:
        job = await finished(world, f"http://127.0.0.1:{receiver.port}/")
        await running.settled()
        (letter,) = await running.outbox.dead_letters("t", limit=10)
        assert (letter.job, letter.attempts) == (job, 1)
        assert "not on the public internet" in letter.error
        assert receiver.connections == 0


async def test_what_a_killed_process_had_taken_is_delivered_by_another(world: World, database: Database) -> None:
    async with receiving() as receiver:
        job = await finished(world, f"http://127.0.0.1:{receiver.port}/")
        outbox = CallbackOutbox(database)
        (taken,) = await outbox.due(now=world.now, limit=10, lease_s=60)
        assert await outbox.due(now=world.now + 59, limit=10, lease_s=60) == []
        world.now += 60
        async with calling(world, database) as running:
            await running.settled()
            assert len(receiver.deliveries) == 1
            await outbox.dead(taken, "what the killed one would have said")
            assert await outbox.dead_letters("t", limit=10) == []
    assert taken.job == job
