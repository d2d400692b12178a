"""The execution API as a process: ``api_process.py STORE WORKER_KEY``; says its URL in the first line of its output."""

import sys

import uvloop

from holdfast.execution.core.settings import AdmissionSettings, ExecutionSettings
from holdfast.execution.shell.api.serve import serve
from holdfast.kernel import Duration, Size
from holdfast.store import StoreSettings
from holdfast.telemetry.logs import configure

if __name__ == "__main__":
    configure(human=False)
    store, worker_key = sys.argv[1:]
    settings = ExecutionSettings(
        listen="127.0.0.1:0",
        drain_timeout=Duration(5.0),
        admission=AdmissionSettings(tenant_backlog=Duration(1e6), total_backlog=Duration(1e6), min_free=Size(0)),
    )
    sys.exit(
        uvloop.run(
            serve(
                settings,
                StoreSettings(url=store),
                ready=lambda urls: print(urls["execution"], flush=True),
                worker_key=worker_key,
            )
        )
    )
