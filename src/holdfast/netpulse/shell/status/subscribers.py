"""Who wants to be told of updates, and telling them.

- Nobody is told before they confirmed (double opt-in); what was never confirmed is forgotten after a day.
- One address is one subscriber: its id is a keyed hash of it, so that asking twice is harmless and ids tell nothing.
- Links carry the id and a keyed hash of what they are for; the key is drawn once and kept with the records. Nothing in
  an answer says whether an address was known.
- Each subscriber's document holds the ids of the updates that they were told: a crash in the middle of telling goes on
  where it was, and tells at most one of them twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol, cast
from urllib.parse import urlsplit

import msgspec

from holdfast.kernel import HoldfastError
from holdfast.netpulse.core.status import PublicIncident, StatusView, Update
from holdfast.netpulse.shell.status.times import iso, said

log = logging.getLogger(__name__)

MOST_SUBSCRIBERS: Final = 10_000
CONFIRM_WITHIN_S: Final = 86_400.0
ASK_AGAIN_S: Final = 600.0
"""The same address is written to for confirmation at most this often, whoever asks for it."""
ASKS_PER_HOUR: Final = 200
"""Confirmations sent in all; a form on the web must not become a way to flood others with mail."""
SEND_S: Final = 15.0
AT_A_TIME: Final = 4
ATTEMPTS: Final = 8
"""Failed tellings in a row after which a subscriber is dropped; tellings come with each new view, a minute apart."""
TELL_WITHIN_S: Final = 86_400.0
"""Older updates are not told any more."""
_KIND: Final = "status-subscriber"
_SECRET: Final = ("status-secret", "subscribers")
_MAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,188}[A-Za-z0-9])?")
_URL_CHARACTERS: Final = 1000

Purpose = Literal["confirm", "end"]


class Documents(Protocol):
    """Of the records: small things with a name."""

    async def document(self, kind: str, key: str) -> bytes | None:
        """One of them."""
        ...

    async def documents(self, kind: str) -> Mapping[str, bytes]:
        """All of a kind, by key."""
        ...

    async def put_document(self, kind: str, key: str, data: bytes | None) -> None:
        """Store, or with ``None`` forget."""
        ...


class Messenger(Protocol):
    """Sends one message to one subscriber. Raises :class:`HoldfastError` or ``OSError`` when it did not arrive.

    Addresses come from strangers: what is private, loopback or link-local is refused, and a redirect not followed.
    """

    async def mail(self, to: str, subject: str, text: str, headers: Mapping[str, str]) -> None:
        """By e-mail."""
        ...

    async def post(self, url: str, body: bytes) -> None:
        """JSON to a webhook."""
        ...


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who asked to be told."""

    id: str
    kind: Literal["email", "webhook"]
    target: str
    asked: float
    """When they were last asked to confirm, seconds since the epoch."""
    confirmed: float | None = None
    told: tuple[str, ...] = ()
    """Ids of updates."""
    failures: int = 0
    """In a row."""


class Subscribers:
    """The list, and telling those on it. ``wall`` is seconds since the epoch, ``entropy`` is ``os.urandom``."""

    def __init__(
        self,
        documents: Documents,
        messenger: Messenger,
        *,
        title: str,
        api_url: str,
        by_mail: bool,
        wall: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        """``api_url``: where the router of :mod:`.subscribe` is reached; the links in messages begin with it."""
        self._documents = documents
        self._messenger = messenger
        self._title = title
        self._api_url = api_url.rstrip("/")
        self._by_mail = by_mail
        self._wall = wall
        self._entropy = entropy
        self._key = b""
        self._asked: list[float] = []
        self._known: frozenset[str] | None = None
        self._turn = asyncio.Lock()

    async def ask(self, kind: str, target: str) -> str | None:
        """Write to somebody for confirmation. What is wrong with the address, in words; ``None`` when it is taken.

        Also ``None`` when nothing was sent, because they are on the list or were asked just now.
        """
        problem = self._problem(kind, target)
        if problem:
            return problem
        async with self._turn:
            now = self._wall()
            id = await self._id(kind, target)
            known = await self._find(id)
            if known is not None and (known.confirmed is not None or now - known.asked < ASK_AGAIN_S):
                return None
            self._asked = [at for at in self._asked if at > now - 3600]
            if len(self._asked) >= ASKS_PER_HOUR:
                return "too many subscribe at the moment; try again in an hour"
            if known is None and len(await self._pruned(now)) >= MOST_SUBSCRIBERS:
                return "the list is full; follow the feed instead"
            self._asked.append(now)
            subscriber = Subscriber(id=id, kind=cast("Literal['email', 'webhook']", kind), target=target, asked=now)
            await self._put(subscriber)
        await self._ask_to_confirm(subscriber)
        return None

    async def confirm(self, token: str) -> bool:
        """Whether the link was one of ours, and they are on the list now."""
        subscriber = await self._of(token, "confirm")
        if subscriber is None:
            return False
        async with self._turn:
            if subscriber.confirmed is None:
                await self._put(msgspec.structs.replace(subscriber, confirmed=self._wall()))
        return True

    async def end(self, token: str) -> bool:
        """Whether the link was one of ours; they are not on the list any more."""
        id, _, given = token.partition(".")
        if not hmac.compare_digest(given.encode(), (await self._proof(id, "end")).encode()):
            return False
        async with self._turn:
            await self._documents.put_document(_KIND, id, None)
        return True

    async def tell(self, view: StatusView) -> int:
        """Tell everybody on the list what is new; how many messages went out. What failed is tried with the next."""
        now = self._wall()
        updates = [
            (incident, update)
            for incident in view.incidents
            for update in incident.updates
            if update.at > now - TELL_WITHIN_S
        ]
        updates.sort(key=lambda pair: (pair[1].at, pair[1].id))
        ids = frozenset(update.id for _, update in updates)
        if ids == self._known:
            return 0
        slots = asyncio.Semaphore(AT_A_TIME)

        async def one(subscriber: Subscriber) -> tuple[int, bool]:
            async with slots:
                return await self._tell_one(subscriber, updates, view)

        confirmed = [subscriber for subscriber in await self._all() if subscriber.confirmed is not None]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(subscriber), name="status subscriber") for subscriber in confirmed]
        outcomes = [task.result() for task in tasks]
        self._known = ids if all(whole for _, whole in outcomes) else None
        return sum(count for count, _ in outcomes)

    async def _tell_one(
        self, subscriber: Subscriber, updates: list[tuple[PublicIncident, Update]], view: StatusView
    ) -> tuple[int, bool]:
        """How many were sent, and whether nothing is owed any more."""
        ids = {update.id for _, update in updates}
        told = [id for id in subscriber.told if id in ids]
        sent = 0
        for incident, update in updates:
            if update.id in told or update.at < (subscriber.confirmed or 0.0):
                continue
            try:
                async with asyncio.timeout(SEND_S):
                    await self._send(subscriber, incident, update, view)
            except (HoldfastError, OSError) as error:  # includes TimeoutError
                failures = subscriber.failures + 1
                log.warning(
                    "a subscriber of the status page was not told: %s",
                    error,
                    extra={"action": "status_subscriber", "subscriber": subscriber.id, "failures": failures},
                )
                if failures >= ATTEMPTS:
                    await self._documents.put_document(_KIND, subscriber.id, None)
                    return sent, True
                await self._keep(msgspec.structs.replace(subscriber, told=tuple(told), failures=failures))
                return sent, False
            sent += 1
            told.append(update.id)
            subscriber = msgspec.structs.replace(subscriber, told=tuple(told), failures=0)
            await self._keep(subscriber)
        return sent, True

    async def _send(self, to: Subscriber, incident: PublicIncident, update: Update, view: StatusView) -> None:
        end = await self._link(to.id, "end")
        page = f"{view.url}/incidents/{incident.id}.html" if view.url else ""
        if to.kind == "webhook":
            names = {component.id: component.name for component in view.components}
            body = {
                "type": "incident_update",
                "page": {"name": view.title, "url": view.url},
                "incident": {
                    "id": incident.id,
                    "name": incident.name,
                    "status": incident.status,
                    "impact": incident.impact,
                    "url": page,
                    "components": [names[id] for id in incident.components if id in names],
                },
                "update": {"id": update.id, "status": update.status, "body": update.body, "at": iso(update.at)},
                "unsubscribe_url": end,
            }
            await self._messenger.post(to.target, msgspec.json.encode(body))
            return
        text = f"{update.body}\n\n{said(update.at)}\n{page}\n\nNo more of these: {end}\n"
        headers = {
            # One click in the mail program (RFC 8058).
            "List-Unsubscribe": f"<{end}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
        }
        subject = f"[{_line(self._title)}] {update.status}: {_line(incident.name)}"
        await self._messenger.mail(to.target, subject, text, headers)

    async def _ask_to_confirm(self, subscriber: Subscriber) -> None:
        confirm, end = await self._link(subscriber.id, "confirm"), await self._link(subscriber.id, "end")
        try:
            async with asyncio.timeout(SEND_S):
                if subscriber.kind == "webhook":
                    body = {"type": "confirm", "page": {"name": self._title}, "confirm_url": confirm}
                    await self._messenger.post(subscriber.target, msgspec.json.encode(body))
                else:
                    text = (
                        f"Somebody asked that updates of {_line(self._title)} come to this address. If that was you,\n"
                        f"confirm it within a day:\n\n{confirm}\n\nIf not, do nothing: you get no further mail.\n"
                    )
                    headers = {"List-Unsubscribe": f"<{end}>", "Auto-Submitted": "auto-generated"}
                    subject = f"Confirm: updates of {_line(self._title)}"
                    await self._messenger.mail(subscriber.target, subject, text, headers)
        except (HoldfastError, OSError) as error:
            # Not said to who asked: it would tell them about other people's mail servers and networks.
            log.warning(
                "a confirmation could not be sent: %s",
                error,
                extra={"action": "status_subscriber", "subscriber": subscriber.id},
            )

    def _problem(self, kind: str, target: str) -> str | None:
        if kind == "email":
            if not self._by_mail:
                return "there are no mails here; follow the feed, or name a webhook"
            return None if _MAIL.fullmatch(target) and ".." not in target else "that is not an e-mail address"
        if kind == "webhook":
            return None if _is_hook(target) else "that is not the https:// address of a webhook"
        return "kind is email or webhook"

    async def _pruned(self, now: float) -> list[Subscriber]:
        """Everybody, without those who did not confirm in time."""
        kept = []
        for subscriber in await self._all():
            if subscriber.confirmed is None and now - subscriber.asked > CONFIRM_WITHIN_S:
                await self._documents.put_document(_KIND, subscriber.id, None)
            else:
                kept.append(subscriber)
        return kept

    async def _of(self, token: str, purpose: Purpose) -> Subscriber | None:
        id, _, given = token.partition(".")
        if not hmac.compare_digest(given.encode(), (await self._proof(id, purpose)).encode()):
            return None
        subscriber = await self._find(id)
        if subscriber is None or subscriber.confirmed is not None:
            return subscriber
        return None if self._wall() - subscriber.asked > CONFIRM_WITHIN_S else subscriber

    async def _keep(self, subscriber: Subscriber) -> None:
        """Store, unless they have left meanwhile."""
        async with self._turn:
            if await self._find(subscriber.id) is not None:
                await self._put(subscriber)

    async def _put(self, subscriber: Subscriber) -> None:
        await self._documents.put_document(_KIND, subscriber.id, msgspec.json.encode(subscriber))

    async def _find(self, id: str) -> Subscriber | None:
        data = await self._documents.document(_KIND, id)
        return None if data is None else msgspec.json.decode(data, type=Subscriber)

    async def _all(self) -> list[Subscriber]:
        found = await self._documents.documents(_KIND)
        return [msgspec.json.decode(data, type=Subscriber) for data in found.values()]

    async def _id(self, kind: str, target: str) -> str:
        # The domain of an address is the same in any case of its letters (RFC 5321, section 2.4).
        local, at, domain = target.rpartition("@")
        same = f"{local}{at}{domain.lower()}" if kind == "email" else target
        return (await self._hash(f"{kind} {same}"))[:24]

    async def _proof(self, id: str, purpose: Purpose) -> str:
        return (await self._hash(f"link {purpose} {id}"))[:40]

    async def _link(self, id: str, purpose: Purpose) -> str:
        return f"{self._api_url}/v1/status/subscribers/{purpose}?token={id}.{await self._proof(id, purpose)}"

    async def _hash(self, text: str) -> str:
        if not self._key:
            self._key = await self._drawn_key()
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    async def _drawn_key(self) -> bytes:
        key = await self._documents.document(*_SECRET)
        if key is None:
            await self._documents.put_document(*_SECRET, self._entropy(32))
            key = await self._documents.document(*_SECRET)  # another process may have been quicker
        if key is None:
            raise HoldfastError("the records forgot the key of subscriptions; look at the database")
        return key


def _is_hook(target: str) -> bool:
    try:
        parts = urlsplit(target)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return (
        len(target) <= _URL_CHARACTERS
        and target.isascii()
        and target.isprintable()
        and " " not in target
        and parts.scheme == "https"
        and bool(host)
        and "@" not in parts.netloc
    )


def _line(text: str) -> str:
    """In a header: one line."""
    return " ".join(text.split())[:200]
