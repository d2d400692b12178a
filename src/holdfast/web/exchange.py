"""One request and its answer, in the terms of ASGI: what is looked at of a head, whole answers, and failures."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from litestar.types import Message, Receive, Send
from litestar.types import Scope as AsgiScope

from holdfast.store import StoreError, StoreUnavailable
from holdfast.web.decoding import too_deep
from holdfast.web.problems import MEDIA_TYPE, ProblemError
from holdfast.web.reading import ClientGone

log = logging.getLogger(__name__)

STORE_RETRY_S: Final = 2.0


class Head(NamedTuple):
    """What is looked at of a request's header."""

    key: str | None
    length: int | None
    content_type: bytes
    idempotency_key: str | None


class Answer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    media_type: bytes = b"application/json"


async def answering(
    serve: Callable[[AsgiScope, Receive, Send], Awaitable[None]], scope: AsgiScope, receive: Receive, send: Send
) -> int:
    """Serve a request; what fails before an answer has begun is answered with a problem.

    Returns:
        The status that was answered, 0 when the client went away before.

    Raises:
        Exception: The answer had begun; the server has to cut it off.
    """
    status = 0

    async def sending(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        await serve(scope, receive, sending)
    except ProblemError as problem:
        await send_problem(problem, sending)
    except ClientGone:
        pass
    except RecursionError:
        await send_problem(too_deep(), sending)
    except StoreUnavailable as error:
        if status:
            raise
        await send_problem(store_problem(error), sending)
    except Exception:
        if status:
            raise
        log.exception("request failed", extra={"action": "request", "path": shown_path(scope)})
        await send_problem(ProblemError("internal-error", "see the log of the service"), sending)
    return status


def shown_path(scope: Any) -> str:
    """The path as logs and messages may have it: a front masks one that is its own credential."""
    return str(scope.get("masked_path") or scope["path"])


def read_head(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """Pick what is looked at. Names are lower case, as ASGI has them."""
    key: str | None = None
    length: int | None = None
    content_type = b""
    idempotency: str | None = None
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                key = value[7:].strip().decode("latin-1")
        elif name == b"x-api-key":
            if key is None:
                key = value.decode("latin-1")
        elif name == b"content-length":
            length = int(value)  # the parser below has made sure that it is a number
        elif name == b"content-type":
            content_type = value
        elif name == b"idempotency-key":
            idempotency = value.decode("latin-1")
    return Head(key, length, content_type, idempotency)


def require_json(head: Head) -> None:
    """Raise :class:`ProblemError` for a body that says it is something else."""
    if head.content_type == b"application/json":
        return
    kind = head.content_type.partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise ProblemError("unsupported-media-type", "Content-Type: must be application/json", field="Content-Type")


def store_problem(error: StoreError) -> ProblemError:
    """The store failed: what the client is told. The text of the error stays in the log."""
    log.warning("the store does not answer", extra={"action": "store", "why": str(error)})
    return ProblemError("store-unavailable", "the store does not answer; try again", retry_after_s=STORE_RETRY_S)


async def send_answer(answer: Answer, send: Send) -> None:
    """Send a whole response."""
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def send_problem(problem: ProblemError, send: Send) -> None:
    """Send a problem."""
    headers = [(name.encode(), value.encode()) for name, value in problem.headers().items()]
    await send_answer(Answer(problem.status, problem.body(), headers, MEDIA_TYPE.encode()), send)


def replaying(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that begins with a body that was read before."""
    given = False

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
