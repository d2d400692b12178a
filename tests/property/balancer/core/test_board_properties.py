"""A worker that applies every piece of news sees what the pools decided."""

from __future__ import annotations

from random import Random

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.balancer.core.board import Board
from holdfast.balancer.core.health import ProbeResult
from holdfast.balancer.core.messages import BackendRef, BackendReport, Run, View
from holdfast.balancer.core.settings import BackendSettings, BalancerSettings, PoolSettings

POOLS = st.sampled_from(["web", "api"])
BACKENDS = st.sampled_from(["a", "b", "c"])
WORKERS = st.integers(0, 2)


class Mirror(RuleBasedStateMachine):
    """The board beside what its workers know."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.settings = BalancerSettings(pools={name: self.pool(["a", "b"]) for name in ("web", "api")})
        self.board = Board(self.settings, Random(1), 0.0)
        self.known: dict[int, dict[BackendRef, View]] = {0: {}}
        self.limits: dict[int, dict[str, int | None]] = {0: {}}

    @staticmethod
    def pool(names: list[str]) -> PoolSettings:
        return PoolSettings(backends=tuple(BackendSettings(id=name, url=f"http://{name}:1") for name in names))

    @rule(step=st.floats(0.01, 30.0))
    def time_passes(self, step: float) -> None:
        self.now += step
        self.board.tick(self.now)

    @rule(pool=POOLS, backend=BACKENDS, passed=st.booleans(), times=st.integers(1, 4))
    def check(self, pool: str, backend: str, passed: bool, times: int) -> None:
        result = ProbeResult(passed=passed, kind="pass" if passed else "connect")
        for _ in range(times):
            self.board.on_probe(BackendRef(pool, backend), result, self.now)

    @rule(worker=WORKERS, pool=POOLS, backend=BACKENDS, failed=st.booleans(), count=st.integers(1, 50))
    def report(self, worker: int, pool: str, backend: str, failed: bool, count: int) -> None:
        run = Run("reset" if failed else None, count, tuple(range(count)) if failed else ())
        self.board.on_reports(worker, [BackendReport(BackendRef(pool, backend), (run,), 0, 0.1)], self.now)

    @rule(pool=POOLS, backend=BACKENDS, drained=st.booleans())
    def drain(self, pool: str, backend: str, drained: bool) -> None:
        if BackendRef(pool, backend) in self.board.backends():
            self.board.set_drain(pool, backend, drained, self.now)

    @rule(web=st.lists(BACKENDS, unique=True), api=st.none() | st.lists(BACKENDS, unique=True))
    def reconfigure(self, web: list[str], api: list[str] | None) -> None:
        pools = {"web": self.pool(web)} | ({} if api is None else {"api": self.pool(api)})
        self.board.reconfigure(BalancerSettings(pools=pools), (), self.now)
        for worker in self.known:  # each says that it is ready again
            self.board.forget(worker)
            self.known[worker], self.limits[worker] = {}, {}

    @rule(worker=WORKERS)
    def worker_starts(self, worker: int) -> None:
        self.board.forget(worker)
        self.known[worker], self.limits[worker] = {}, {}

    @rule(worker=WORKERS)
    def worker_ends(self, worker: int) -> None:
        if worker in self.known and len(self.known) > 1:
            self.board.on_worker_gone(worker)
            del self.known[worker], self.limits[worker]

    @invariant()
    def every_worker_knows_what_was_decided(self) -> None:
        for worker, views in self.board.news(sorted(self.known)).items():
            self.known[worker].update((view.ref, view) for view in views.views)
            self.limits[worker].update(views.pool_limits)
        shots = self.board.snapshot(self.now)
        for worker, known in self.known.items():
            assert set(known) == set(self.board.backends())
            for name, shot in shots.items():
                assert self.limits[worker][name] == shot.in_flight_limit
                for backend in shot.backends:
                    view = known[BackendRef(name, backend.id)]
                    assert (round(view.weight, 4), view.state) == (backend.weight, backend.state)
        assert self.board.news(sorted(self.known)) == {}


TestMirror = Mirror.TestCase
TestMirror.settings = hypothesis_settings(max_examples=60, stateful_step_count=25, deadline=None)
