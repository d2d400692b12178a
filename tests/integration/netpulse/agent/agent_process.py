"""An agent with a scripted prober: ``agent_process.py SETTINGS REGION [CLOCK_SHIFT_S]``; says ``ready`` when it is."""

import sys
import time
from pathlib import Path

import uvloop

from holdfast.netpulse.core.protocol import decoder
from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.netpulse.shell.agent import serve_agent
from holdfast.netpulse.shell.agent.clock import Clock
from holdfast.telemetry.logs import configure
from tests.unit.netpulse.agent.scripted import ScriptedProber


async def main(settings: NetpulseSettings, region: str, shift_s: float) -> int:
    return await serve_agent(
        settings,
        region=region,
        name=None,
        ready=lambda _: print("ready", flush=True),
        prober=ScriptedProber(),
        clock=Clock(wall=lambda: time.time() + shift_s),
    )


if __name__ == "__main__":
    configure(human=False)
    file, where, *rest = sys.argv[1:]
    read = decoder(NetpulseSettings).decode(Path(file).read_bytes())
    sys.exit(uvloop.run(main(read, where, float(rest[0]) if rest else 0.0)))
