"""A request as it is after it was read: what is asked, by whom, of what."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.plane.form import Form

if TYPE_CHECKING:
    from holdfast.gateway.core.conversation import Chat
    from holdfast.gateway.core.dialect import Dialect, Encoder, Told
    from holdfast.gateway.core.endpoints import Endpoint
    from holdfast.gateway.core.ports import Guard, Holder, Need
    from holdfast.gateway.core.routing import Route
    from holdfast.gateway.shell.plane.caching import Teller
    from holdfast.gateway.shell.plane.call import Call
    from holdfast.gateway.shell.plane.transcript import Transcript
    from holdfast.gateway.shell.plane.trials import Placed

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BOOL: Final = msgspec.json.Decoder(bool | None)
_TEXT: Final = msgspec.json.Decoder(str)
_COUNT: Final[msgspec.json.Decoder[int | None]] = msgspec.json.Decoder(int | None)
_ANY: Final = msgspec.json.Decoder()
_FALSE_LIKE: Final = (b"null", b"[]", b"{}")


class Ask:
    """One request for a model's work."""

    __slots__ = (
        "_chat",
        "_form",
        "body",
        "call",
        "dialect",
        "encoder",
        "endpoint",
        "guard",
        "holder",
        "keeps_answer",
        "model",
        "need",
        "raw",
        "rewritten",
        "route",
        "stream",
        "teller",
        "told",
        "transcript",
        "trial",
        "wall",
    )

    def __init__(self, call: Call, endpoint: Endpoint, dialect: Dialect, body: bytes) -> None:
        """Read the body as far as routing needs it. Raises :class:`Refused`."""
        self.call = call
        self.endpoint = endpoint
        self.dialect = dialect
        self.body = body
        self._form: Form | None = None
        if endpoint.kind == "transcription":
            self._form = Form(body, call.field(b"content-type"))
            self.raw = {"model": msgspec.Raw(msgspec.json.encode(self._form.model))}
        else:
            self.raw = raw_object(body)
        self.model = endpoint.model if endpoint.model is not None else self._text("model")
        self.stream = endpoint.stream if endpoint.stream is not None else self._flag("stream")
        self.wall = 0.0
        self.holder: Holder
        self.route: Route
        self.need: Need
        self.told: Told
        self.guard: Guard | None = None
        self.rewritten = False
        """Whether what is asked is not the client's own body any more: a guardrail redacted it."""
        self.keeps_answer = False
        """Whether the answer has to be understood although it could pass: for the cache."""
        self.teller: Teller | None = None
        """Hears what the provider says, where the answer is kept or shared."""
        self.transcript: Transcript | None = None
        """Where what was cut may be continued."""
        self.encoder: Encoder | None = None
        """Writes the one stream that the client reads, whoever continues it."""
        self.trial: Placed | None = None
        """What it is to a canary or a shadow of its model."""
        self._chat: Chat | None = None

    def rest(self, chat: Chat) -> Ask:
        """The same request, asking for what is missing of the answer."""
        rest = copy(self)
        rest._chat = chat  # noqa: SLF001 - of this class
        rest.rewritten = True
        return rest

    @property
    def wants_usage(self) -> bool:
        """Whether the client of a stream asked to be told the usage."""
        options = self.value("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    def affinity(self) -> bytes:
        """What keeps requests of one conversation on one deployment, whose cache knows its beginning."""
        for name in ("prompt_cache_key", "user", "safety_identifier"):
            found = self.raw.get(name)
            if found is not None:
                return bytes(found)[:256]
        return b""

    def with_model(self, model: str) -> bytes:
        """The body of a form, with another name of the model."""
        return self.body if self._form is None else self._form.with_model(model)

    @property
    def chat(self) -> Chat:
        """All of it, in the one way that all protocols share. Raises :class:`Refused`."""
        if self._chat is None:
            whole = decoded(self.body)
            if self.endpoint.model is not None:
                whole["model"] = self.endpoint.model
            if self.endpoint.stream is not None:
                whole["stream"] = self.endpoint.stream
            self._chat = self.dialect.read_request(whole)
        return self._chat

    @chat.setter
    def chat(self, chat: Chat) -> None:
        self._chat = chat

    def has(self, name: str) -> bool:
        """Whether a parameter is there and says something."""
        value = self.raw.get(name)
        return value is not None and bytes(value) not in _FALSE_LIKE

    def count(self, *names: str) -> int | None:
        """The first of some whole numbers. Raises :class:`Refused` for one that is none."""
        for name in names:
            value = self.raw.get(name)
            if value is not None:
                try:
                    found = _COUNT.decode(value)
                except msgspec.DecodeError as error:
                    raise Refused("invalid_request", f"{name}: must be a whole number", param=name) from error
                if found is not None:
                    if not 0 < found < 2**31:
                        raise Refused("invalid_request", f"{name}: must be between 1 and 2147483647", param=name)
                    return found
        return None

    def value(self, name: str) -> Any:
        """A parameter, decoded; ``None`` without it."""
        found = self.raw.get(name)
        return None if found is None else _ANY.decode(found)

    def _text(self, name: str) -> str:
        found = self.raw.get(name)
        if found is None:
            raise Refused("invalid_request", f"{name}: missing; GET /v1/models lists what there is", param=name)
        try:
            text = _TEXT.decode(found)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise Refused("invalid_request", f"{name}: must be a string", param=name) from error
        if not 0 < len(text) <= 256:
            raise Refused("invalid_request", f"{name}: must have 1 to 256 characters", param=name)
        return text

    def _flag(self, name: str) -> bool:
        found = self.raw.get(name)
        if found is None:
            return False
        try:
            return bool(_BOOL.decode(found))
        except msgspec.DecodeError as error:
            raise Refused("invalid_request", f"{name}: must be true or false", param=name) from error


def raw_object(body: bytes) -> dict[str, msgspec.Raw]:
    """The members of a JSON object, each as the bytes that it came in. Raises :class:`Refused`."""
    try:
        return _OBJECT.decode(body)
    except RecursionError as error:
        raise Refused("invalid_request", "the body is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        why = "an object was expected" if isinstance(error, msgspec.ValidationError) else str(error)
        raise Refused("invalid_request", f"the body is not a JSON object: {why}") from error


def decoded(body: bytes) -> dict[str, Any]:
    """The whole body. Raises :class:`Refused`."""
    try:
        found = _ANY.decode(body)
    except RecursionError as error:
        raise Refused("invalid_request", "the body is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Refused("invalid_request", f"the body is not a JSON object: {error}") from error
    if not isinstance(found, dict):
        raise Refused("invalid_request", "the body is not a JSON object")
    return found
