"""The spool over any interleaving of results, commits, batches, receipts, kills and a size that does not suffice."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.netpulse.core.result import Outcome, Result
from holdfast.netpulse.shell.agent.clock import Clock
from holdfast.netpulse.shell.agent.spool import Spool


class SpoolMachine(RuleBasedStateMachine):
    """Plays the agent and the engine; a result's time is its identity."""

    @initialize(size=st.sampled_from((300, 100_000)), memory=st.sampled_from((25, 10_000)))
    def begin(self, size: int, memory: int) -> None:
        self.loop = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.size = size
        self.memory = memory
        self.made = 0.0
        self.committed: list[float] = []
        self.waiting: list[float] = []
        self.seen: dict[int, float] = {}
        self.upto = 0
        self.open()

    def open(self) -> None:
        async def opened() -> Spool:
            return Spool.open(
                self.directory / "s.sqlite", size_bytes=self.size, clock=Clock(), boot="b", memory=self.memory
            )

        self.spool = self.loop.run(opened())

    @rule(count=st.integers(1, 12))
    def add(self, count: int) -> None:
        for _ in range(count):
            self.made += 1.0
            self.waiting.append(self.made)
            self.spool.add(Result(monitor="t/a", seq=0, at=self.made, outcome=Outcome.UP), hurry=False)
        if len(self.waiting) >= 10:  # as the writer does long before there are too many
            self.flush()

    @rule()
    def flush(self) -> None:
        self.loop.run(self.spool.flush())
        self.committed += self.waiting
        self.waiting = []

    @rule(most=st.integers(1, 15), receipt=st.sampled_from(("all", "part", "lost")))
    def send(self, most: int, receipt: str) -> None:
        if not self.spool.committed:
            return
        results = self.loop.run(self.spool.head(most))
        seqs = [each.seq for each in results]
        assert 0 < len(results) <= most
        assert seqs == sorted(set(seqs))
        assert seqs[0] > self.upto, "what has a receipt does not come again"
        for each in results:
            assert self.seen.setdefault(each.seq, each.at) == each.at, "a number is never given to another result"
            assert each.at in self.committed, "nothing is sent before it is committed"
        if receipt != "lost":
            self.upto = seqs[-1] if receipt == "all" else seqs[len(seqs) // 2]
            self.spool.taken(self.upto)

    @rule(gently=st.booleans())
    def restart(self, gently: bool) -> None:
        if gently:
            self.loop.run(self.spool.close())
            self.committed += self.waiting
        else:

            async def killed() -> None:
                self.spool._file.close()  # what is not committed is gone
                self.spool._waiting.clear()
                await self.spool._in_thread(lambda: None)
                self.spool._thread.shutdown()
                os.close(self.spool._lock)

            self.loop.run(killed())
        self.waiting = []
        self.upto = 0  # receipts since the last commit are forgotten: those results come again
        self.open()

    @invariant()
    def the_file_keeps_its_bound(self) -> None:
        if hasattr(self, "spool"):
            assert self.spool._file.bytes <= self.size
            assert self.spool._recent_results <= self.memory

    def teardown(self) -> None:
        if not hasattr(self, "spool"):
            return
        self.flush()
        while self.spool.committed:
            self.send(15, "all")
        lost = len(set(self.committed) - set(self.seen.values()))
        assert lost <= self.spool.dropped, "what is lost is counted"
        if self.size > 10_000:
            assert lost == 0
        self.loop.run(self.spool.close())
        self.loop.close()
        shutil.rmtree(self.directory)


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
