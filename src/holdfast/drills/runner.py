"""How fast programs are taken in, started, compiled and reported.

Durable submissions per second (no worker runs, every 202 is on disk), on both stores; short Python
programs per second against starting the bare interpreter on the same cores, in turns; the start of a prepared sandbox;
the time from the claim to the first instruction; from the end to the pushed event; and what the compile cache is worth.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp

from holdfast.drills.code_runners import epoch
from holdfast.drills.code_service import FIGURES_AGE_S, NO_BOUNDS, CodeService
from holdfast.drills.errors import DrillError, ToolMissingError
from holdfast.drills.findings import CODE_RUNNER, CONTROL, Findings, Setting
from holdfast.drills.postgres import PostgresqlServer
from holdfast.drills.throughput import parse_wrk

TENANT: Final = "drill"
CONNECTIONS: Final = 64
SLOTS: Final = 8
BARE: Final = ("/usr/bin/python3", "-I", "-S", "-c", "print(1)")
FIRST_INSTRUCTION: Final = "import time\nprint(time.time())\n"
_LUA: Final = """\
local n = 0
local id = math.random(1, 2147483647)
function setup(thread) thread:set("seed", tostring(thread.addr)) end
function request()
  n = n + 1
  local body = '{{"language": "python", "source": "print(' .. n .. ')", "metadata": {{"n": ' .. n .. '}}}}'
  return wrk.format("POST", "/v1/jobs",
    {{["Authorization"] = "Bearer {key}", ["Content-Type"] = "application/json"}}, body)
end
"""
COMPILED: Final[dict[str, str]] = {
    "cpp": "#include <iostream>\n#include <map>\n#include <string>\n"
    'int main() {{ std::map<std::string, int> m{{{{"a", {n}}}}}; std::cout << m["a"] << "\\n"; }}\n',
    "java": 'public class Main {{ public static void main(String[] a) {{ System.out.println("" + {n}); }} }}\n',
    "go": 'package main\n\nimport "fmt"\n\nfunc main() {{ fmt.Println({n}) }}\n',
}


class Runner:
    """``holdfast drill run runner``."""

    name = "runner"
    title = "What does it cost to queue a program, to start it in a sandbox, and to say that it has ended?"
    packages = CODE_RUNNER

    async def run(self, setting: Setting) -> Findings:
        """Submissions, starts, compiles."""
        found = Findings(control_what=f"the bare interpreter: {' '.join(BARE)}, as many at a time as there are slots")
        await _submissions(found, setting)
        await _sandboxes(found, setting)
        section = {"admission": NO_BOUNDS, "worker": {"slots": SLOTS}}
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(
                CodeService("holdfast", setting.directory, tenants=(TENANT,), section=section)
            )
            session = await stack.enter_async_context(service.session())
            await _starts(found, setting, service, session)
            await _ends(found, setting, service, session)
            await _compiles(found, setting, service, session)
        _judge(found)
        return found


async def _submissions(found: Findings, setting: Setting) -> None:
    if shutil.which("wrk") is None:
        raise ToolMissingError("wrk", "wrk")
    seconds = int(setting.pick(10, 1))
    found.parameters |= {"connections": CONNECTIONS, "submit_s": seconds}
    async with AsyncExitStack() as stack:
        stores: dict[str, str | None] = {"sqlite": None}
        stores["postgresql"] = stack.enter_context(await asyncio.to_thread(PostgresqlServer)).url()
        for name, store in stores.items():
            setting.progress(f"runner: submissions to {name}")
            section = {"admission": NO_BOUNDS}
            async with CodeService(
                f"submit-{name}", setting.directory, tenants=(TENANT,), workers=0, store=store, section=section
            ) as service:
                script = setting.directory / f"{name}.lua"
                script.write_text(_LUA.format(key=service.keys[TENANT]))
                await _wrk(service, script, 1)
                async with service.session() as session:
                    await asyncio.sleep(FIGURES_AGE_S)
                    before = (await service.figures(session))["queued"]
                    requests, errors, took_s = await _wrk(service, script, seconds)
                    await asyncio.sleep(FIGURES_AGE_S)
                    stored = (await service.figures(session))["queued"] - before
                if errors or stored < requests:
                    raise DrillError(f"{name}: {requests} accepted, {stored} found in the queue, {errors} failed")
                found.add("holdfast", f"submitted_per_s_{name}", [requests / took_s])


async def _sandboxes(found: Findings, setting: Setting) -> None:
    """Starts in sandboxes of a pool, measured by the process that has the pool."""
    count = int(setting.pick(300, 20))
    setting.progress(f"runner: {count} starts in sandboxes")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "holdfast.execution.shell.sandbox.measure", str(count)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await _ended(process, within_s=60 + count)
    if process.returncode:
        raise DrillError(f"sandboxes could not be measured: {errors.decode(errors='replace')[-500:]}")
    found.add("holdfast", "sandbox_start_ms", json.loads(output))


async def _ended(process: asyncio.subprocess.Process, *, within_s: float) -> tuple[bytes, bytes]:
    try:
        async with asyncio.timeout(within_s):
            return await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise


async def _wrk(service: CodeService, script: Path, seconds: int) -> tuple[int, int, float]:
    process = await asyncio.create_subprocess_exec(
        "wrk",
        *("-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", str(script), service.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await _ended(process, within_s=seconds + 30)
    burst = parse_wrk(output.decode(errors="replace"))
    return burst.requests, burst.errors, burst.duration_s


async def _starts(found: Findings, setting: Setting, service: CodeService, session: aiohttp.ClientSession) -> None:
    """Rounds of both in turns, so that what else the machine does meets both alike."""
    rounds, count = int(setting.pick(6, 2)), int(setting.pick(600, 60))
    found.parameters |= {"start_rounds": rounds, "programs_per_round": count}
    ours: list[float] = []
    bare: list[float] = []
    for number in range(rounds):
        setting.progress(f"runner: short programs, round {number + 1} of {rounds}")
        jobs = await _run_all(service, session, [{"language": "python", "source": "print(1)\n"}] * count)
        first, last = min(epoch(job["started_at"]) for job in jobs), max(epoch(job["finished_at"]) for job in jobs)
        ours.append(count / (last - first))
        bare.append(await _bare(count // 2))
    found.add("holdfast", "python_per_s", ours)
    found.add(CONTROL, "python_per_s", bare)
    setting.progress("runner: from the claim to the first instruction")
    overhead = []
    for _ in range(int(setting.pick(200, 20))):
        (job,) = await _run_all(service, session, [{"language": "python", "source": FIRST_INSTRUCTION}])
        overhead.append((float(job["stdout"]) - epoch(job["started_at"])) * 1e3)
    found.add("holdfast", "claim_to_first_instruction_ms", overhead)


async def _bare(count: int, *, at_a_time: int = SLOTS) -> float:
    """Starts of the bare interpreter per second."""
    left = iter(range(count))

    async def one() -> None:
        for _ in left:
            process = await asyncio.create_subprocess_exec(*BARE, stdout=asyncio.subprocess.PIPE)
            await process.communicate()

    began = time.monotonic()
    async with asyncio.timeout(300):
        await asyncio.gather(*(one() for _ in range(at_a_time)))
    return count / (time.monotonic() - began)


async def _ends(found: Findings, setting: Setting, service: CodeService, session: aiohttp.ClientSession) -> None:
    setting.progress("runner: from the end to the event")
    late = []
    for _ in range(int(setting.pick(100, 10))):
        answer = await service.call(
            session, "POST", "/v1/jobs", service.keys[TENANT], {"language": "python", "source": "print(1)\n"}
        )
        arrived = await _finished_event(service, session, answer.body["id"])
        view = await service.call(session, "GET", f"/v1/jobs/{answer.body['id']}", service.keys[TENANT])
        late.append((arrived - epoch(view.body["finished_at"])) * 1e3)
    found.add("holdfast", "finish_to_event_ms", late)


async def _finished_event(service: CodeService, session: aiohttp.ClientSession, id: str) -> float:
    headers = {"Authorization": f"Bearer {service.keys[TENANT]}"}
    async with session.get(f"/v1/jobs/{id}/events", headers=headers) as response:
        async for line in response.content:
            if line.strip() == b"event: finished":
                return time.time()
    raise DrillError(f"the events of {id} ended without `finished`")


async def _compiles(found: Findings, setting: Setting, service: CodeService, session: aiohttp.ClientSession) -> None:
    rounds = int(setting.pick(8, 1))
    for language, source in COMPILED.items():
        if shutil.which({"cpp": "g++", "java": "javac", "go": "go"}[language]) is None:
            found.notes.append(f"without {language}: no compiler on this machine")
            continue
        cold: list[float] = []
        warm: list[float] = []
        for number in range(rounds):
            setting.progress(f"runner: {language}, round {number + 1} of {rounds}")
            job = {"language": language, "source": source.format(n=number)}
            for times in (cold, warm):
                (view,) = await _run_all(service, session, [job])
                if view["verdict"] != "ok":
                    raise DrillError(f"{language}: {view['verdict']}: {view.get('compile')}")
                times.append((epoch(view["finished_at"]) - epoch(view["started_at"])) * 1e3)
        found.add("holdfast", f"{language}_cold_ms", cold)
        found.add("holdfast", f"{language}_warm_ms", warm)


async def _run_all(
    service: CodeService, session: aiohttp.ClientSession, jobs: Sequence[dict[str, Any]], *, timeout_s: float = 120.0
) -> list[dict[str, Any]]:
    """Hand programs in, wait for all of them, and return them as the API shows them."""
    key, ids = service.keys[TENANT], []
    for start in range(0, len(jobs), 100):
        batch = list(jobs[start : start + 100])
        path, body = ("/v1/jobs", batch[0]) if len(jobs) == 1 else ("/v1/batches", {"jobs": batch})
        answer = await service.call(session, "POST", path, key, body)
        if answer.status != 202:
            raise DrillError(f"POST {path} answered {answer.status}: {answer.body}")
        ids += [answer.body["id"]] if len(jobs) == 1 else [one["id"] for one in answer.body["jobs"]]
    done = []
    async with asyncio.timeout(timeout_s):
        for id in reversed(ids):  # the last one first: then the others have ended as well, nearly always
            while True:
                answer = await service.call(session, "GET", f"/v1/jobs/{id}?wait=20s", key)
                if answer.status != 200:
                    raise DrillError(f"GET /v1/jobs/{id} answered {answer.status}: {answer.body}")
                if answer.body["status"] in {"finished", "dead"}:
                    done.append(answer.body)
                    break
    return done


def _judge(found: Findings) -> None:
    for name in ("submitted_per_s_sqlite", "submitted_per_s_postgresql"):
        found.metric("holdfast", name, f"sum(${name})", unit="1/s", better="higher")
    for name in ("holdfast", CONTROL):
        found.metric(
            name,
            "python_per_s",
            "median($python_per_s)",
            unit="1/s",
            better="higher",
            low="min($python_per_s)",
            high="max($python_per_s)",
        )
    found.metric(
        "holdfast",
        "python_against_bare",
        "median($python_per_s) / median(control.python_per_s)",
        unit="ratio",
        better="higher",
    )
    for share in ("p50", "p95"):
        for series in ("sandbox_start_ms", "claim_to_first_instruction_ms", "finish_to_event_ms"):
            name = series.removesuffix("_ms")
            found.metric("holdfast", f"{name}_{share}_ms", f"{share}(${series})", unit="ms", better="lower")
    found.claim("2,500 durable submissions/s on SQLite", "holdfast.submitted_per_s_sqlite", ">=", 2500)
    found.claim("1,500 on PostgreSQL", "holdfast.submitted_per_s_postgresql", ">=", 1500)
    found.claim("twice the bare interpreter's starts", "holdfast.python_against_bare", ">=", 2)
    found.claim("a sandbox of the pool is there at once", "holdfast.sandbox_start_p50_ms", "<=", 3)
    found.claim("claim to first instruction", "holdfast.claim_to_first_instruction_p50_ms", "<=", 5)
    found.claim("the end is known at once", "holdfast.finish_to_event_p95_ms", "<=", 50)
    for language in COMPILED:
        if f"holdfast.{language}_cold_ms" in found.samples:
            found.metric(
                "holdfast",
                f"{language}_warm_against_cold",
                f"median(${language}_warm_ms) / median(${language}_cold_ms)",
                unit="ratio",
                better="lower",
            )
            found.claim(f"a warm start of {language}", f"holdfast.{language}_warm_against_cold", "<=", 0.3)
