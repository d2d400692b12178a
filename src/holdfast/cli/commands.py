"""The commands of ``holdfast``.

What a command needs is imported when it runs, so that ``holdfast --help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from holdfast import __version__
from holdfast.cli import blog, deploy, drills, evidence, execute, gateway, keys, netpulse

app = typer.Typer(
    name="holdfast",
    help="Run services that hold while what they depend on fails.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
run_app = typer.Typer(help="Run one service in this process.", no_args_is_help=True)
app.add_typer(run_app, name="run")
app.add_typer(drills.app, name="drill")
app.add_typer(evidence.app, name="evidence")
app.add_typer(blog.app, name="blog")
app.add_typer(keys.app, name="key")
app.add_typer(execute.app, name="exec")
app.add_typer(gateway.app, name="gateway")
app.add_typer(netpulse.app, name="netpulse")
app.add_typer(deploy.app, name="deploy")
app.add_typer(netpulse.replay_app, name="replay")

File = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="Configuration file.")]
OptionalFile = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="Configuration file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"holdfast {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Nothing to set up: every command stands alone."""


@app.command()
def up(
    config: OptionalFile = None,
    port_base: Annotated[
        int, typer.Option(min=1024, max=65534, help="Demo only: port of the balancer; the next one is its admin plane.")
    ] = 8080,
) -> None:
    """Run everything in FILE on this machine; without a file, a demo."""
    from holdfast.cli.up import run_demo, run_file

    if config is None:
        run_demo(port_base)
    else:
        run_file(config)


@run_app.command("balancer")
def run_balancer(config: File) -> None:
    """Run the load balancer."""
    from holdfast.app.services import run_balancer as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(config))


@run_app.command("gateway")
def run_gateway(config: File) -> None:
    """Run the AI gateway."""
    from holdfast.app.services import run_gateway as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(config))


@run_app.command("mock-provider")
def run_mock_provider(
    listen: Annotated[str, typer.Option(help="Address that it answers on.")] = "127.0.0.1:8090",
    tokens_per_s: Annotated[float, typer.Option(min=0, help="Pace of streams; 0 is as fast as it goes.")] = 0.0,
    first_token: Annotated[float, typer.Option(min=0, help="Seconds before the first token.")] = 0.0,
    fault: Annotated[
        list[str] | None, typer.Option(help="What goes wrong, such as 'share=0.1,status=529'. Again for more.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="A key that is accepted; any when none is given.")] = None,
    seed: Annotated[int, typer.Option(help="Of the chance that faults strike by.")] = 1,
) -> None:
    """Run a scripted AI provider: all protocols, deterministic answers, and every fault on demand."""
    from holdfast.app.services import run_mock_provider as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(
        serve(
            listen=listen,
            tokens_per_s=tokens_per_s,
            first_token_s=first_token,
            faults=fault or [],
            keys=key or [],
            seed=seed,
        )
    )


@run_app.command("execution-api")
def run_execution_api(config: File) -> None:
    """Run the API and the queue of code execution."""
    from holdfast.app.services import run_execution_api as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(config))


@run_app.command("execution-worker")
def run_execution_worker(config: File) -> None:
    """Run a worker of code execution."""
    from holdfast.app.services import run_execution_worker as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(config))


@run_app.command("netpulse")
def run_netpulse(config: File) -> None:
    """Run the engine that watches: results in, incidents and pages out."""
    from holdfast.app.services import run_netpulse as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(config))


@run_app.command("agent")
def run_agent(
    config: File,
    region: Annotated[str, typer.Option(help="Region of the file that this agent watches from.")],
    name: Annotated[str | None, typer.Option(help="Of the agent, where a region has several; the region's.")] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="One round of a minute, then leave: for a timer.")] = False,
) -> None:
    """Run an agent: it watches from a region and reports to the engine."""
    from holdfast.app.services import run_agent as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(config, region, name, once=once))


@run_app.command("status")
def run_status(config: File) -> None:
    """Serve the public status page from its files."""
    from holdfast.app.services import run_status as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(config))


@run_app.command("console")
def run_console(config: File) -> None:
    """Run the web pages."""
    from holdfast.app.services import run_console as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(config))


@run_app.command("blog")
def run_blog(config: File) -> None:
    """Build the blog and serve it."""
    from holdfast.app.services import run_blog as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(config))


@run_app.command("demo-backend", hidden=True)
def run_demo_backend(
    name: Annotated[str, typer.Option("--id")],
    port: Annotated[int, typer.Option(min=0, max=65535)],
    front: Annotated[str, typer.Option()] = "http://127.0.0.1:8080",
    admin: Annotated[str, typer.Option()] = "http://127.0.0.1:8081",
    cycle: Annotated[float, typer.Option(min=0.0)] = 0.0,
    bad: Annotated[float, typer.Option(min=0.0)] = 0.0,
) -> None:
    """Run a backend of the demo."""
    from holdfast.app.demo_backend import DemoBackend, serve
    from holdfast.app.services import run

    backend = DemoBackend(id=name, port=port, front=front, admin=admin, cycle_s=cycle, bad_s=bad)
    raise typer.Exit(run(serve(backend)))


@run_app.command("demo-pager", hidden=True)
def run_demo_pager(port: Annotated[int, typer.Option(min=0, max=65535)]) -> None:
    """Run the receiver of the demo's pages."""
    from holdfast.app.services import run_demo_pager as serve
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    raise typer.Exit(serve(port))


@app.command()
def check(
    config: File,
    as_json: Json = False,
    ports: Annotated[
        bool, typer.Option("--ports/--no-ports", help="Try the addresses too; not for a file that is already running.")
    ] = True,
) -> None:
    """Validate FILE and print the configuration in force, defaults included."""
    from holdfast.cli.check import check as run_check

    raise typer.Exit(run_check(config, as_json=as_json, ports=ports))


@app.command()
def doctor(config: OptionalFile = None, as_json: Json = False) -> None:
    """Say what this machine can do, and what to change where it cannot."""
    from holdfast.cli.doctor import report

    raise typer.Exit(report(config, as_json=as_json))


@app.command()
def version() -> None:
    """Print the version."""
    print(f"holdfast {__version__}")
