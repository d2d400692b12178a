"""Takes owed notices from the outbox and has them sent, so that no channel holds up another.

A notice is marked as sent after the send and never before: a process that dies in between has its leases run out, and
what it had taken is sent again, with the same key, by which a receiver can tell a repetition.

Bounds, from the inside out:

- :data:`SENDING` sends at a time, of them :data:`SENDING_PER_CHANNEL` to one channel;
- :data:`TAKEN_PER_CHANNEL` of one channel taken, waiting or being sent. What is owed beyond that is put back, and
  spread over the time that the channel needs, so that a dead channel's queue never fills the room of the others;
- messages about one incident go to a channel in their order: while an earlier one is still owed (the channel did not
  answer), a later one is put back. A resolve that overtook its opening would leave the other side open for good.

What is put back does not count as an attempt, for as long as this process lives.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol, TypeAlias

from holdfast.netpulse.core.delivery import Again, GivenUp, Later, Outcome, Sent, consequence
from holdfast.netpulse.core.escalation import TELLING, knows, obsolete, sequence
from holdfast.netpulse.core.incident import Incident, Notice
from holdfast.netpulse.core.message import Message, compose
from holdfast.netpulse.core.ports import Delivery
from holdfast.netpulse.core.settings import ChannelSettings, NetpulseSettings
from holdfast.netpulse.shell.notify import alertmanager, channels
from holdfast.netpulse.shell.notify.http import Network
from holdfast.store import StoreError

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
"""How often the outbox is looked at without a :meth:`Notifier.wake`: notices become due by time."""
LEASE_S: Final = 120.0
"""How long a killed process keeps what it had taken."""
MARKING_S: Final = 10.0
"""Of a lease, kept for writing down what came of the send."""
SENDING: Final = 32
SENDING_PER_CHANNEL: Final = 4
ROOM: Final = 96
"""Notices taken at a time."""
TAKEN_PER_CHANNEL: Final = 16
PUT_BACK_MOST_S: Final = 60.0
REMINDED: Final = 200
"""Standing incidents that an Alertmanager is told of again and again: a bound for a bad day."""
OBSOLETE: Final = "obsolete: "
"""What the error of a notice begins with that time has overtaken."""

Links: TypeAlias = Callable[[str, str], str]
"""Incident and channel -> where somebody acknowledges it; empty when there is no such place."""
Send: TypeAlias = Callable[..., Awaitable[Outcome]]


class Outbox(Protocol):
    """What is needed of :class:`~holdfast.netpulse.core.ports.Records`."""

    async def owed(self, now: float, *, limit: int, lease_s: float) -> Sequence[Delivery]: ...  # noqa: D102
    async def delivered(self, delivery: Delivery, now: float, *, reference: str = "") -> None: ...  # noqa: D102
    async def undelivered(self, delivery: Delivery, *, error: str, again_at: float | None) -> None: ...  # noqa: D102
    async def incident(self, tenant: str, incident: str) -> Incident | None: ...  # noqa: D102
    async def incidents(  # noqa: D102
        self,
        tenant: str,
        *,
        standing: bool | None = None,
        monitor: str | None = None,
        limit: int,
        before: str | None = None,
    ) -> Sequence[Incident]: ...
    async def notices(self, incident: str) -> Sequence[tuple[Notice, str, str]]: ...  # noqa: D102


@dataclass(slots=True)
class Health:
    """How a channel does, for pages and metrics. Times are seconds since the epoch."""

    sent: int = 0
    failed: int = 0
    """Attempts."""
    given_up: int = 0
    last_sent: float | None = None
    failing_since: float | None = None
    """First failed attempt since the last success."""
    error: str = ""
    took_s: float = 0.25
    """Moving average of an attempt."""


class Notifier:
    """The loop. One per engine; with several, each notice is leased by one of them."""

    def __init__(
        self,
        records: Outbox,
        settings: NetpulseSettings,
        links: Links,
        *,
        clock: Callable[[], float],
        rng: Random,
        page: Callable[[str], str] = lambda _: "",
        network: Network | None = None,
        send: Send = channels.send,
    ) -> None:
        """``links``: see :data:`Links`; ``page``: incident -> where people see it; ``clock``: seconds since the epoch.

        ``network`` and ``send`` are replaced in tests.
        """
        self._records = records
        self._settings = settings
        self._links = links
        self._page = page
        self._clock = clock
        self._rng = rng
        self._network = network or Network()
        self._send = send
        self._sending = asyncio.Semaphore(SENDING)
        self._per_channel = _Turns(SENDING_PER_CHANNEL)
        self._in_order = _Turns(1)
        self._taken: Counter[tuple[str, str]] = Counter()
        self._put_back: Counter[str] = Counter()
        self._queues: dict[tuple[str, str], float] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._closing = False
        self.health: defaultdict[tuple[str, str], Health] = defaultdict(Health)
        """By tenant and channel."""

    @property
    def under_way(self) -> int:
        """Notices taken and not yet decided; for metrics."""
        return len(self._deliveries)

    def wake(self) -> None:
        """Look at the outbox now: something was decided."""
        self._woken.set()

    def reconfigure(self, settings: NetpulseSettings) -> None:
        """From now on these channels. What is being sent goes by those it began with."""
        self._settings = settings
        self._woken.set()

    async def run(self) -> None:
        """Deliver until :meth:`close`, or until cancelled: what is under way then is taken anew after its lease."""
        reminding = asyncio.create_task(self._remind(), name="reminding")
        try:
            while not self._closing:
                self._woken.clear()
                pause_s = POLL_S
                try:
                    pause_s = await self._take()
                except StoreError as error:
                    log.warning("the outbox cannot be read", extra={"action": "notice_take", "why": str(error)})
                except Exception:
                    log.exception("the outbox cannot be read", extra={"action": "notice_take"})
                try:
                    async with asyncio.timeout(pause_s):
                        await self._woken.wait()
                except TimeoutError:
                    pass
            if self._deliveries:
                await asyncio.wait(self._deliveries, timeout=self._settings.drain_timeout)
        finally:
            left = [reminding, *self._deliveries]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await self._network.close()

    def close(self) -> None:
        """Take no more; :meth:`run` returns when what is under way is done, at the latest after the drain timeout."""
        self._closing = True
        self._woken.set()

    async def _take(self) -> float:
        """Start what is due and has room; seconds until it is worth looking again."""
        room = ROOM - len(self._deliveries)
        if room <= 0:
            return POLL_S
        now = self._clock()
        owed = await self._records.owed(now, limit=room, lease_s=LEASE_S)
        for delivery in sorted(owed, key=lambda delivery: sequence(delivery.notice)):
            place = self._place(delivery.notice)
            full = self._taken[place] >= TAKEN_PER_CHANNEL
            if not full:
                self._taken[place] += 1
            job = self._spread(delivery, place) if full else self._deliver(delivery, place, now + LEASE_S)
            task = asyncio.create_task(job, name=f"notice {delivery.notice.key}")
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
        return 0.0 if len(owed) == room else POLL_S

    def _place(self, notice: Notice) -> tuple[str, str]:
        """Whose channel. The platform's own incidents are its operator's, who wrote the file."""
        return notice.tenant or self._settings.tenant, notice.channel

    def _channel(self, place: tuple[str, str]) -> ChannelSettings | None:
        """The channels of the file are its tenant's: another tenant's notice never goes there, whatever its name."""
        tenant, channel = place
        return self._settings.channels.get(channel) if tenant == self._settings.tenant else None

    async def _deliver(self, delivery: Delivery, place: tuple[str, str], leased_until: float) -> None:
        notice = delivery.notice
        try:
            async with self._in_order.turn((*place, notice.incident)):
                await self._attempt(delivery, place, leased_until)
        except StoreError as error:
            # Its lease ends, and it is sent again: at least once is what is promised.
            log.warning("notice undecided", extra=_fields(delivery, "notice_undecided", str(error)))
        except Exception:
            log.exception("notice failed in an unforeseen way", extra=_fields(delivery, "notice_error", ""))
        finally:
            self._taken[place] -= 1
            if not self._taken[place]:
                del self._taken[place]
            self._woken.set()

    async def _attempt(self, delivery: Delivery, place: tuple[str, str], leased_until: float) -> None:
        notice, channel = delivery.notice, self._channel(place)
        if channel is None:
            await self._settle(delivery, place, GivenUp(f"tenant {place[0]} has no channel {notice.channel}"))
            return
        incident = notice.snapshot
        if notice.event != "test":
            incident = await self._records.incident(notice.tenant, notice.incident)
            others = await self._records.notices(notice.incident)
            if _overtakes(notice, others):
                self._put_back[notice.key] += 1
                await self._records.undelivered(
                    delivery,
                    error="waits for an earlier message about the incident",
                    again_at=self._clock() + min(2.0 ** self._put_back[notice.key], PUT_BACK_MOST_S),
                )
                return
            if reason := obsolete(notice, incident, _reached(others)):
                await self._records.undelivered(delivery, error=OBSOLETE + reason, again_at=None)
                self._put_back.pop(notice.key, None)
                log.info("notice obsolete", extra=_fields(delivery, "notice_obsolete", reason))
                return
            if incident is None or (notice.not_before <= notice.at and notice.event != "joined"):
                incident = notice.snapshot  # told as it was, though it may be late
        async with self._per_channel.turn(place), self._sending:
            began = self._clock()
            timeout_s = min(channel.timeout, leased_until - MARKING_S - began)
            if timeout_s <= 0:
                return  # the lease would end while it is sent; it is taken anew then
            message = self._compose(notice, incident)
            attempt = max(1, delivery.attempt - self._put_back[notice.key])
            outcome = await self._guarded(channel, message, began, timeout_s, attempt)
            health = self.health[place]
            health.took_s += 0.2 * (self._clock() - began - health.took_s)
        await self._settle(delivery, place, consequence(outcome, attempt=attempt, settings=channel, rng=self._rng))

    async def _guarded(
        self, channel: ChannelSettings, message: Message, now: float, timeout_s: float, attempt: int
    ) -> Outcome:
        try:
            return await self._send(
                self._network, channel, message, now=now, timeout_s=timeout_s, last=attempt >= channel.attempts
            )
        except Exception:
            # A fault of ours must neither lose the notice nor try it for ever: it counts as an attempt.
            log.exception("a channel failed in an unforeseen way", extra={"action": "notice_error", "key": message.key})
            return Again("a fault of this program; its log has more")

    def _compose(self, notice: Notice, incident: Incident | None) -> Message:
        if incident is None:
            return compose(notice, None)
        return compose(
            notice,
            incident,
            acknowledge_url=self._links(incident.id, notice.channel),
            incident_url=self._page(incident.id),
        )

    async def _settle(self, delivery: Delivery, place: tuple[str, str], what: Sent | Later | GivenUp) -> None:
        health, now = self.health[place], self._clock()
        match what:
            case Sent(reference=reference):
                await self._mark(lambda: self._records.delivered(delivery, now, reference=reference))
                health.sent += 1
                health.last_sent, health.failing_since, health.error = now, None, ""
                log.info("notice sent", extra=_fields(delivery, "notice_sent", reference))
            case Later(after_s=after_s, why=why):
                await self._mark(lambda: self._records.undelivered(delivery, error=why, again_at=now + after_s))
                health.failed += 1
                health.failing_since, health.error = health.failing_since or now, why
                log.info("notice failed", extra=_fields(delivery, "notice_failed", why) | {"retry_in_s": after_s})
                return
            case GivenUp(why=why):
                await self._mark(lambda: self._records.undelivered(delivery, error=why, again_at=None))
                health.failed += 1
                health.given_up += 1
                health.failing_since, health.error = health.failing_since or now, why
                log.error("notice given up", extra=_fields(delivery, "notice_given_up", why))
        self._put_back.pop(delivery.notice.key, None)

    async def _mark(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write down what came of a send; a database that is busy for a moment must not page somebody twice."""
        for pause_s in (0.1, 0.5, 2.0):
            try:
                await write()
            except StoreError:
                await asyncio.sleep(pause_s)
            else:
                return
        await write()

    async def _remind(self) -> None:
        """Tell Alertmanagers again of what stands, or they take it for over."""
        while True:
            await asyncio.sleep(alertmanager.RESEND_S)
            for name, channel in list(self._settings.channels.items()):
                if channel.alertmanager is not None:
                    try:
                        await self._remind_of(name, channel)
                    except StoreError as error:
                        log.warning("incidents cannot be read", extra={"action": "remind", "why": str(error)})
                    except Exception:
                        log.exception("nobody was reminded", extra={"action": "remind", "channel": name})

    async def _remind_of(self, name: str, channel: ChannelSettings) -> None:
        tenant = self._settings.tenant
        for standing in await self._records.incidents(tenant, standing=True, limit=REMINDED):
            # In turn with the notices: a reminder that overtook the resolve would open the alert again.
            async with self._in_order.turn((tenant, name, standing.id)):
                others = await self._records.notices(standing.id)
                incident = await self._records.incident(standing.tenant, standing.id)
                last = [
                    notice
                    for notice, state, _ in others
                    if notice.channel == name and state == "sent" and notice.event in TELLING
                ]
                if incident is None or not incident.standing or not last or not knows(name, _reached(others)):
                    continue
                message = self._compose(last[-1], incident)
                outcome = await self._guarded(channel, message, self._clock(), channel.timeout, 1)
            if not isinstance(outcome, Sent):
                log.warning("reminder failed", extra={"action": "remind", "channel": name, "why": outcome.why})
                return  # the others would wait for the same; Alertmanager keeps what it has for a few rounds

    async def _spread(self, delivery: Delivery, place: tuple[str, str]) -> None:
        """Put back what a channel has no room for, to when it may have some."""
        now = self._clock()
        step_s = self.health[place].took_s / SENDING_PER_CHANNEL
        at = min(max(self._queues.get(place, 0.0), now) + step_s, now + PUT_BACK_MOST_S)
        self._queues[place] = at
        self._put_back[delivery.notice.key] += 1
        try:
            await self._records.undelivered(delivery, error="waits for its turn", again_at=at)
        except StoreError as error:
            log.warning("notice undecided", extra=_fields(delivery, "notice_undecided", str(error)))


class _Turns:
    """A semaphore per name, for as long as somebody holds or wants it."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._semaphores: dict[tuple[str, ...], asyncio.Semaphore] = {}
        self._users: Counter[tuple[str, ...]] = Counter()

    @asynccontextmanager
    async def turn(self, name: tuple[str, ...]) -> AsyncIterator[None]:
        """Wait for a turn, and have it."""
        semaphore = self._semaphores.setdefault(name, asyncio.Semaphore(self._bound))
        self._users[name] += 1
        try:
            async with semaphore:
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._semaphores[name]


def _reached(others: Sequence[tuple[Notice, str, str]]) -> Mapping[str, float]:
    """Notices that their channel has, or may have: also one given up, whose answer may have got lost."""
    return {
        notice.key: notice.at
        for notice, state, error in others
        if state == "sent" or (state == "failed" and not error.startswith(OBSOLETE))
    }


def _overtakes(notice: Notice, others: Sequence[tuple[Notice, str, str]]) -> bool:
    """Whether an earlier notice to the same channel is still owed, and was to be sent by now."""
    return any(
        state == "waiting"
        and other.channel == notice.channel
        and other.not_before <= notice.not_before
        and sequence(other) < sequence(notice)
        for other, state, _ in others
    )


def _fields(delivery: Delivery, action: str, why: str) -> dict[str, object]:
    notice = delivery.notice
    return {
        "action": action,
        "key": notice.key,
        "tenant": notice.tenant,
        "channel": notice.channel,
        "event": notice.event,
        "attempt": delivery.attempt,
        "why": why,
    }


__all__ = ["Health", "Links", "Notifier", "Outbox"]
