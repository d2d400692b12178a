"""The ``gateway:`` section of ``holdfast.yaml``.

The smallest useful one is a provider with a key; its models are then called ``PROVIDER/MODEL``::

    gateway:
      providers:
        openai: {key: "${OPENAI_API_KEY}"}

Money is US dollars here and integer nano-dollars inside. Units: :class:`~holdfast.kernel.Duration` is seconds,
:class:`~holdfast.kernel.Size` bytes. What a decoder cannot see (references, ranges, combinations) is in
:mod:`.validate`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Section

ProviderProtocol = Literal["openai", "anthropic", "gemini", "bedrock"]
Priority = Literal["interactive", "batch"]
GuardAction = Literal["block", "redact", "flag"]


class PriceSettings(Section, frozen=True):
    """What a model costs, in US dollars for a million tokens; it takes the place of the price that is known."""

    input: float
    output: float
    cache_read: float | None = None
    """As input when absent."""
    cache_write: float | None = None
    cache_write_long: float | None = None
    per_image: float | None = None
    """For one image."""
    per_request: float = 0.0


class ProviderSettings(Section, frozen=True):
    """Somebody who runs models. What is absent follows from the provider's name, if it is a known one."""

    protocol: ProviderProtocol | None = None
    url: str | None = None
    """Base URL, with the version: ``https://api.openai.com/v1``."""
    key: str | None = None
    """The secret that the provider knows us by; ``${OPENAI_API_KEY}``."""
    key_file: str | None = None
    """A file whose first line is the key, read at start and on reload; instead of ``key``."""
    auth: Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "sigv4", "none"] | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Sent with each request."""
    query: dict[str, str] = msgspec.field(default_factory=dict)
    """Added to each address: Azure's ``api-version``."""
    region: str | None = None
    """AWS region (``bedrock``)."""
    access_key_id: str | None = None
    """AWS (``bedrock``); ``key`` is the secret access key then."""
    session_token: str | None = None
    ca: str | None = None
    """PEM file of the authorities that are trusted instead of the system's."""
    models: tuple[str, ...] | None = None
    """Models that clients may name as ``PROVIDER/MODEL``; all of them when absent, none when empty."""
    responses: bool | None = None
    """Whether ``/v1/responses`` is spoken there; known for known providers, no for others."""
    private: bool = False
    """Whether the address may be one of a private network (Ollama, vLLM, a mock)."""
    max_in_flight: int = 8192
    """Attempts at once, all models together."""


class DeploymentSettings(Section, frozen=True):
    """A model at a provider."""

    provider: str
    model: str
    """The provider's own name of it."""
    weight: float = 1.0
    """Share of traffic among those of the same tier."""
    tier: int = 0
    """Tiers are tried in order: the next one when none of this one is left."""
    context: int | None = None
    """Tokens that fit in; known for known models. A request that does not fit goes elsewhere."""
    max_output: int | None = None
    tools: bool = True
    vision: bool = True
    json_schema: bool = True
    price: PriceSettings | None = None
    bytes_per_token: float | None = None
    """For the estimate before an answer; learned from answers when absent."""
    tokens_in_flight: int = 2_000_000
    """Estimated tokens at once: the most that the adaptive limit allows."""
    first_token_timeout: Duration | None = None


class CanarySettings(Section, frozen=True):
    """A share of a model's traffic goes to a candidate, until it proves worse."""

    deployment: DeploymentSettings
    percent: float = 5.0
    minimum_requests: int = 100
    """Of the candidate, before anything is decided."""
    max_error_ratio: float = 1.5
    """Error rate of the candidate against the others' at which it is rolled back."""
    max_latency_ratio: float = 1.5
    """p95 of the time to the first token, as above."""
    max_cost_ratio: float = 1.5
    min_score: float | None = None
    """Mean score of ``evaluation`` below which it is rolled back."""
    evaluation: str | None = None
    """An evaluation of ``evaluations`` whose graders judge answers of the candidate."""
    sticky: bool = True
    """Whether one user always gets the same side."""


class ShadowSettings(Section, frozen=True):
    """A copy of a share of requests goes to another deployment; its answers are counted and thrown away."""

    deployment: DeploymentSettings
    percent: float = 1.0
    max_in_flight: int = 4


class HedgeSettings(Section, frozen=True):
    """A second attempt when the first token is late; whichever commits first wins."""

    enabled: bool = False
    quantile: float = 0.95
    """Of the time to the first token of that deployment: later than this is late."""
    extra_percent: float = 5.0
    """Most estimated tokens that hedges may add to those of requests."""
    minimum_samples: int = 20
    least: Duration = Duration(0.05)


class ModelSettings(Section, frozen=True):
    """A name that clients use, and what answers to it."""

    deployments: tuple[DeploymentSettings, ...]
    fallbacks: tuple[str, ...] = ()
    """Other models of this section, in order, when no deployment of this one will do."""
    hedge: HedgeSettings = HedgeSettings()
    continue_cut: bool = False
    """Whether a stream of text that was cut is continued by another deployment (marked in metadata)."""
    cache: bool | None = None
    """Overrides ``cache.enabled``."""
    guardrails: str | None = None
    """A policy of ``guardrails``; its ``default`` one when absent."""
    canary: CanarySettings | None = None
    shadow: ShadowSettings | None = None
    timeout: Duration | None = None
    """Overrides ``timeouts.request``."""
    description: str = ""


class TimeoutSettings(Section, frozen=True):
    """How long may what take."""

    request: Duration = Duration(600.0)
    """A whole request, over all attempts, until the end of the answer."""
    answer: Duration = Duration(120.0)
    """From the request to the commit point, over all attempts and waiting."""
    connect: Duration = Duration(5.0)
    first_token: Duration = Duration(60.0)
    """From sending an attempt to its first meaningful token."""
    stall: Duration = Duration(30.0)
    """Silence in the middle of a stream."""
    whole: Duration = Duration(300.0)
    """From sending to the end of an answer that is not streamed."""
    keep_alive: Duration = Duration(10.0)
    """A waiting stream gets a comment (``ping``) this often, after its commit point."""
    client: Duration = Duration(30.0)
    """A client that reads nothing, or does not finish sending, is dropped after this."""


class RetrySettings(Section, frozen=True):
    """How many attempts, and how many such attempts all can afford."""

    attempts: int = 4
    """Per request in all: retries, fallbacks and hedges."""
    budget_percent: float = 20.0
    """Extra attempts as a share of requests over the last ten seconds."""
    budget_floor_per_s: float = 0.5
    """Extra attempts per second that are always allowed."""
    backoff_base: Duration = Duration(0.05)
    backoff_cap: Duration = Duration(1.0)


class HealthSettings(Section, frozen=True):
    """What takes a deployment out of rotation and brings it back."""

    consecutive: int = 5
    """Failures in a row."""
    success_ratio: float = 0.5
    minimum_volume: int = 20
    window: Duration = Duration(30.0)
    open_min: Duration = Duration(5.0)
    open_max: Duration = Duration(300.0)
    trials: int = 2
    trial_successes: int = 2
    ramp: Duration = Duration(10.0)
    damping: bool = True
    rate_limit_pause: Duration = Duration(1.0)
    """After a 429 that names no time; doubles with each in a row."""
    longest_pause: Duration = Duration(300.0)
    """What a provider's ``retry-after`` is bounded to."""


class AdmissionSettings(Section, frozen=True):
    """Who has to wait, and for how long."""

    adaptive: bool = True
    """Whether the limit of tokens in flight follows latency and refusals of each deployment."""
    queue: int = 1024
    """Requests that may wait for a place, all together."""
    queue_timeout: Duration = Duration(10.0)
    batch_share: float = 0.5
    """Most of a deployment's limit that batch requests may fill while interactive ones come."""
    max_in_flight: int = 8192
    """Requests of clients at once."""


class LimitSettings(Section, frozen=True):
    """What a tenant, a team, a user or a key may do. ``None``: no limit of its own; the narrowest one holds."""

    models: tuple[str, ...] | None = None
    """Names, or patterns with ``*``."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    daily_usd: float | None = None
    """From midnight UTC."""
    monthly_usd: float | None = None
    """From the first of the month, UTC."""
    priority: Priority | None = None
    """``batch``: requests always wait behind interactive ones."""


class LimitsSettings(Section, frozen=True):
    """Limits by name. Those of keys are made by the API and stand in the store."""

    default: LimitSettings = LimitSettings()
    """Of each key that has none of its own."""
    tenants: dict[str, LimitSettings] = msgspec.field(default_factory=dict)
    teams: dict[str, LimitSettings] = msgspec.field(default_factory=dict)
    """``TENANT/TEAM``."""
    users: dict[str, LimitSettings] = msgspec.field(default_factory=dict)
    """``TENANT/USER``."""


class LedgerSettings(Section, frozen=True):
    """Where money is written down."""

    path: str = "./gateway"
    """Directory of the journal, this instance's alone."""
    instance: str = "gateway"
    """Name of this process among those that share a store; each needs another one."""
    sync: Duration = Duration(0.1)
    """The journal is forced to the disk this often: what a power failure may lose. ``kill -9`` loses nothing."""
    fold: Duration = Duration(0.5)
    """Attempts go from the journal into the store this often."""
    lease_usd: float = 1.0
    """Most of a shared budget that this instance holds at a time."""
    lease_time: Duration = Duration(60.0)
    """What was not spent of a part goes back after this."""
    unknown_price: Literal["refuse", "free"] = "refuse"
    """A key with a budget asks for a model whose price is unknown: refuse, or answer and say so."""
    retention: Duration = Duration(400 * 86400.0)


class SemanticSettings(Section, frozen=True):
    """Answers to questions that mean the same."""

    model: str | None = None
    """An embedding model of this gateway; the built-in hashed word vectors when absent."""
    threshold: float = 0.95
    """Cosine from which two questions are one."""


class CacheSettings(Section, frozen=True):
    """Answers that are given again."""

    enabled: bool = False
    ttl: Duration = Duration(3600.0)
    entries: int = 10_000
    size: Size = Size(64 * 1024 * 1024)
    coalesce: bool = True
    """Identical requests in flight share one attempt (only where the cache is on)."""
    only_deterministic: bool = True
    """Only requests with temperature 0 or a seed; a client may ask with ``x-holdfast-cache: use``."""
    semantic: SemanticSettings | None = None


class GuardSettings(Section, frozen=True):
    """One policy. A missing action means: not looked for."""

    secrets: GuardAction | None = None
    """Provider keys by prefix, private keys, JWT, cloud credentials."""
    emails: GuardAction | None = None
    phones: GuardAction | None = None
    cards: GuardAction | None = None
    ibans: GuardAction | None = None
    injection: GuardAction | None = None
    injection_score: float = 0.7
    """From 0 to 1: heuristics on NFKC text at which it counts."""
    deny: tuple[str, ...] = ()
    """Words or ``/patterns/`` that are blocked."""
    allow: tuple[str, ...] = ()
    """Words or ``/patterns/`` that are never a finding."""
    schema: Literal["block", "flag"] | None = None
    """Whether an answer has to match the JSON Schema that was asked for."""
    max_input: Size | None = None
    max_output: Size | None = None
    before: bool = True
    after: bool = True
    hold_back: int = 256
    """Characters of a stream that wait for what follows them."""
    fail_closed: bool = False
    """Whether a guardrail that fails blocks (privileged routes) or lets pass and says so."""


class HttpToolSettings(Section, frozen=True):
    """A tool behind an address: POST with the arguments as JSON, the answer is the result."""

    url: str
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    private: bool = False


class McpSettings(Section, frozen=True):
    """A server of the Model Context Protocol, whose tools become ours as ``NAME.TOOL``."""

    url: str | None = None
    """Streamable HTTP."""
    command: tuple[str, ...] = ()
    """Or a child process that speaks on its standard streams."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    """All that the child gets besides PATH."""
    scope: Literal["read", "write", "admin"] = "write"
    timeout: Duration = Duration(30.0)
    private: bool = False


class ToolSettings(Section, frozen=True):
    """A registered tool. Exactly one of ``http`` and ``execution``."""

    description: str
    input: dict[str, Any] = msgspec.field(default_factory=dict)
    """JSON Schema of the arguments."""
    output: dict[str, Any] | None = None
    """JSON Schema of the result."""
    scope: Literal["read", "write", "admin"] = "read"
    timeout: Duration = Duration(30.0)
    http: HttpToolSettings | None = None
    execution: bool = False
    """Runs programs by the execution service."""


class ExecutionToolSettings(Section, frozen=True):
    """Where programs are run."""

    url: str = "http://127.0.0.1:8083"
    key: str = ""
    languages: tuple[str, ...] = ("python",)
    cpu: Duration = Duration(5.0)
    memory: Size = Size(256 * 1024 * 1024)


class SessionSettings(Section, frozen=True):
    """Sessions and runs: plan, execute, verify."""

    model: str | None = None
    """That runs use when they name none."""
    max_steps: int = 12
    max_usd: float = 1.0
    timeout: Duration = Duration(600.0)
    concurrent: int = 32
    retention: Duration = Duration(30 * 86400.0)


class BriefSettings(Section, frozen=True):
    """Briefs whose every statement is cited."""

    paths: tuple[str, ...] = ("content/posts", "evidence")
    """Directories with Markdown, YAML and JSON."""
    model: str | None = None
    """Words the sentences; without one they are taken from the evidence."""


class GraderSettings(Section, frozen=True):
    """Judges one answer between 0 and 1."""

    kind: Literal["exact", "schema", "keyword", "model"]
    weight: float = 1.0
    keywords: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    model: str | None = None
    prompt: str | None = None


class EvaluationSettings(Section, frozen=True):
    """A set of cases and how they are judged."""

    cases: str
    """A file of JSON lines: ``{"messages": [...], "expect": ...}``."""
    graders: tuple[GraderSettings, ...]


class LogSettings(Section, frozen=True):
    """One line for each request. Keys and findings of guardrails are never in it."""

    requests: bool = True
    sample: float = 1.0
    content: Literal["none", "redacted"] = "none"
    """Whether words of requests and answers are in it, with personal data and secrets replaced."""
    bound: Size = Size(4096)


class TraceSettings(Section, frozen=True):
    """OpenTelemetry, with the conventions for generative AI."""

    endpoint: str
    """OTLP over HTTP: ``http://127.0.0.1:4318``."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    sample: float = 1.0
    service: str = "holdfast-gateway"
    content: bool = False


class AnonymousSettings(Section, frozen=True):
    """Whoever has no key of ours. Only where the gateway listens on this machine alone."""

    tenant: str = "local"
    limit: LimitSettings = LimitSettings()


class GatewaySettings(Section, frozen=True):
    """The AI gateway."""

    listen: str = "127.0.0.1:8082"
    providers: dict[str, ProviderSettings] = msgspec.field(default_factory=dict)
    models: dict[str, ModelSettings] = msgspec.field(default_factory=dict)
    anonymous: AnonymousSettings | None = None
    timeouts: TimeoutSettings = TimeoutSettings()
    retry: RetrySettings = RetrySettings()
    health: HealthSettings = HealthSettings()
    admission: AdmissionSettings = AdmissionSettings()
    limits: LimitsSettings = LimitsSettings()
    ledger: LedgerSettings = LedgerSettings()
    cache: CacheSettings = CacheSettings()
    guardrails: dict[str, GuardSettings] = msgspec.field(default_factory=dict)
    """Policies by name; ``default`` holds where a model names none."""
    tools: dict[str, ToolSettings] = msgspec.field(default_factory=dict)
    mcp: dict[str, McpSettings] = msgspec.field(default_factory=dict)
    execution: ExecutionToolSettings | None = None
    sessions: SessionSettings = SessionSettings()
    briefs: BriefSettings = BriefSettings()
    evaluations: dict[str, EvaluationSettings] = msgspec.field(default_factory=dict)
    log: LogSettings = LogSettings()
    traces: TraceSettings | None = None
    max_body: Size = Size(32 * 1024 * 1024)
    max_answer: Size = Size(64 * 1024 * 1024)
    """Of a provider, whether streamed or not: an endless stream is cut here."""
    connections: int = 16_384
    drain_timeout: Duration = Duration(30.0)
    """How long streams may go on after SIGTERM."""
    admin: bool = True
    """Whether ``/admin/`` is answered (to keys with the scope ``gateway:admin``)."""


class MockSettings(Section, frozen=True):
    """The scripted provider."""

    listen: str = "127.0.0.1:8090"
    models: tuple[str, ...] = ("mock-small", "mock-large")
    tokens_per_s: float = 0.0
    """Pace of streams; 0 is as fast as it goes."""
    first_token: Duration = Duration(0.0)
    keys: tuple[str, ...] = ()
    """Accepted keys; any when empty."""
    seed: int = 1
    faults: tuple[str, ...] = ()
    """What goes wrong without being asked for: ``share=0.05,first_token=2s``."""
    max_tokens: int = 4096
