"""``holdfast key``: API keys, made, listed, ended and replaced beside a running service or without one.

The text of a key goes to standard output alone, and everything that is said about it to standard
error, so that ``KEY=$(holdfast key create ...)`` holds the key and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from holdfast.kernel import Duration

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.identity import ApiKey, CallbackSecret, Identities
    from holdfast.store import StoreSettings

T = TypeVar("T")

app = typer.Typer(help="API keys, and secrets of callbacks.", no_args_is_help=True)


def _duration(given: str | Duration) -> Duration:
    try:
        return given if isinstance(given, Duration) else Duration.parse(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


File = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="Configuration that names the store.")
]
Store = Annotated[
    str | None, typer.Option(metavar="URL", envvar="HOLDFAST_STORE", help="The store itself, without a configuration.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the key and nothing else.")]
Overlap = Annotated[
    Duration, typer.Option(parser=_duration, metavar="DURATION", help="The old one is good for this much longer.")
]
Key = Annotated[str, typer.Argument(metavar="ID", help="Id of a key, or the whole key.")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose key it is.")],
    role: Annotated[
        str, typer.Option(help="viewer, developer, editor, admin, owner, worker or operator.")
    ] = "developer",
    scope: Annotated[
        list[str] | None, typer.Option(help="Only this one of the role's scopes; may be repeated.")
    ] = None,
    name: Annotated[str, typer.Option(help="What it is for; shown in lists.")] = "",
    expires: Annotated[
        Duration | None, typer.Option(parser=_duration, metavar="DURATION", help="Ends after this time, like 90d.")
    ] = None,
    config: File = None,
    store: Store = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a key and print it; it cannot be shown again."""
    now = time.time()

    async def work(identities: Identities) -> tuple[ApiKey, str]:
        ends = None if expires is None else now + expires
        return await identities.create_key(tenant, role=role, scopes=scope, name=name, expires=ends, now=now)

    key, text = _run(work, config, store)
    _show_new(key, text, f"key {key.id} of {key.tenant} ({key.role})", now, as_json=as_json, quiet=quiet)


@app.command("list")
def list_all(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    config: File = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """List keys, newest first, ended ones included."""
    now = time.time()
    keys = _run(lambda identities: identities.list_keys(tenant), config, store)
    if as_json:
        print(json.dumps([_record(key, now) for key in keys], indent=2))
        return
    from rich.console import Console

    # A pipe has no width of its own, and what is cut off there cannot be searched.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    console.print(_table(keys, now))


@app.command()
def revoke(key: Key, config: File = None, store: Store = None) -> None:
    """End a key, at once and for good."""
    key_id = _id(key)
    ended = _run(lambda identities: identities.revoke(key_id, now=time.time()), config, store)
    if ended is None:
        _no_such_key(key_id)
    print(f"key {ended.id} of {ended.tenant} is revoked", file=sys.stderr)


@app.command()
def rotate(
    key: Key,
    overlap: Overlap = Duration(86_400.0),
    config: File = None,
    store: Store = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the successor of a key and print it; the old one ends after the overlap."""
    key_id, now = _id(key), time.time()
    made = _run(lambda identities: identities.rotate(key_id, overlap_s=overlap, now=now), config, store)
    if made is None:
        _no_such_key(key_id)
    new, text = made
    about = f"key {new.id} of {new.tenant} ({new.role}); {key_id} ends in {overlap} at the latest"
    _show_new(new, text, about, now, as_json=as_json, quiet=quiet)


@app.command("callback-secret")
def callback_secret(
    tenant: Annotated[str, typer.Option(help="Whose callbacks it signs.")],
    renew: Annotated[bool, typer.Option("--rotate", help="Put a new one in force first.")] = False,
    overlap: Overlap = Duration(86_400.0),
    config: File = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Print the secret that signs a tenant's callbacks, for the receiver to check them with."""
    now = time.time()

    async def work(identities: Identities) -> list[CallbackSecret]:
        if tenant not in await identities.list_tenants():
            return []  # a mistyped name must not get a secret of its own
        if renew:
            return await identities.rotate_callback_secret(tenant, overlap_s=overlap, now=now)
        return await identities.callback_secrets(tenant, now=now)

    secrets = _run(work, config, store)
    if not secrets:
        print(f"there is no tenant {tenant[:80]!r} in this store; it begins with its first key", file=sys.stderr)
        raise typer.Exit(1)
    if as_json:
        print(json.dumps([{"secret": secret.text, "expires": _time(secret.expires)} for secret in secrets], indent=2))
    else:
        print(secrets[0].text)


def _run(work: Callable[[Identities], Awaitable[T]], config: Path | None, store: str | None) -> T:
    """Open the store, do the work, close it."""
    import asyncio

    from holdfast.identity import Identities
    from holdfast.store import open_database

    settings = _settings(config, store)

    async def scenario() -> T:
        async with await open_database(settings) as database:
            identities = Identities(database)
            await identities.open()
            try:
                return await work(identities)
            finally:
                await identities.close()

    return asyncio.run(scenario())


def _settings(config: Path | None, store: str | None) -> StoreSettings:
    from holdfast.store import StoreSettings

    if config is not None:
        from holdfast.app.config import load

        settings = load(config, ports=False).config.store
        if settings is None:
            raise typer.BadParameter(f"{config} has no `store` section and no service that needs one")
        return settings
    if store is None:
        raise typer.BadParameter("say where the keys are kept", param_hint="--config or --store")
    return StoreSettings(url=store)


def _id(text: str) -> str:
    # Who has to end a leaked key has the key.
    from holdfast.identity import parse

    presented = parse(text)
    return text if presented is None else presented.id


def _no_such_key(key_id: str) -> NoReturn:
    print(f"there is no key {key_id[:80]!r} in this store; `holdfast key list` shows those there are", file=sys.stderr)
    raise typer.Exit(1)


def _show_new(key: ApiKey, text: str, about: str, now: float, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print(json.dumps({**_record(key, now), "key": text}, indent=2))
        return
    if not quiet:
        print(f"{about}; keep it now, it is not shown again", file=sys.stderr)
    print(text)


def _record(key: ApiKey, now: float) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "role": key.role,
        "scopes": sorted(key.scopes),
        "state": key.state(now),
        "created": _time(key.created),
        "expires": _time(key.expires),
        "revoked": _time(key.revoked),
        "last_used": _time(key.last_used),
        "replaced_by": key.replaced_by,
    }


def _time(at: float | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return None if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _table(keys: list[ApiKey], now: float) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("ID", "TENANT", "ROLE", "STATE", "CREATED", "LAST USED", "EXPIRES", "NAME"):
        table.add_column(heading, no_wrap=heading in ("ID", "TENANT", "ROLE", "STATE"))
    for key in keys:
        state = key.state(now)
        table.add_row(
            key.id,
            Text(key.tenant),
            key.role,
            Text(state, style="green" if state == "active" else "dim"),
            _time(key.created),
            _time(key.last_used) or "never",
            _time(key.expires) or "never",
            Text(key.name),  # a name may look like markup
        )
    return table
