"""What only the machine can tell about a configuration: files that must be readable, ports that must be free."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path as FilePath

from holdfast.app.ports import bind_problem
from holdfast.balancer.core.addresses import parse_listen
from holdfast.balancer.core.settings import BalancerSettings
from holdfast.kernel.settings import Path, Problem
from holdfast.store import StoreSettings


def files(settings: BalancerSettings) -> Iterator[Problem]:
    """Certificates, keys, authorities and the access log. Paths are relative to the working directory."""
    for index, certificate in enumerate(settings.certificates):
        yield from _pair(("certificates", index), certificate.cert, certificate.key)
    for name, pool in settings.pools.items():
        here = ("pools", name, "tls")
        if pool.tls.cert and pool.tls.key:
            yield from _pair(here, pool.tls.cert, pool.tls.key)
        if pool.tls.ca:
            yield from _authority((*here, "ca"), pool.tls.ca)
    yield from _access_log(settings)


def ports(settings: BalancerSettings) -> Iterator[Problem]:
    """Every address to listen on is tried: bound, and closed at once. Nothing ever listens."""
    for index, text in enumerate(settings.listen):
        yield from listener(("listen", index), text)
    if settings.admin is not None:
        yield from listener(("admin",), settings.admin)


def listener(path: Path, text: str) -> Iterator[Problem]:
    """One address to listen on."""
    try:
        address = parse_listen(text)
    except ValueError:
        return  # its form is wrong, which is said elsewhere
    if problem := bind_problem(address.host, address.port):
        message, remedy = problem
        yield Problem(path=path, value=text, message=message, remedy=remedy)


def store(settings: StoreSettings) -> Iterator[Problem]:
    """The directory of an embedded store. Whether a server answers is found out when a service starts."""
    if not settings.url.startswith("sqlite:"):
        return
    file = FilePath(settings.url.removeprefix("sqlite:"))
    target = file if file.exists() else file.parent
    if not os.access(target, os.R_OK | os.W_OK):
        what = "cannot be written" if target.exists() else "there is no such directory"
        remedy = f"create {target} (relative to {FilePath.cwd()}), or make it writable for this user"
        yield Problem(path=("url",), value=settings.url, message=what, remedy=remedy)


def _unreadable(path: Path, file: str) -> Problem | None:
    try:
        with FilePath(file).open("rb") as stream:
            stream.read(1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        remedy = f"check the path (relative to {FilePath.cwd()}) and its permissions"
        return Problem(path=path, value=file, message=f"cannot be read: {reason}", remedy=remedy)
    return None


def _pair(path: Path, cert: str, key: str) -> Iterator[Problem]:
    if not cert or not key:
        return  # said by the validation of the section
    unreadable = [_unreadable((*path, name), file) for name, file in (("cert", cert), ("key", key))]
    yield from filter(None, unreadable)
    if any(unreadable):
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An explicit password keeps OpenSSL from asking for one on the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        yield _pair_problem(path, cert, key, error)
    except OSError as error:  # removed meanwhile
        yield Problem(path=(*path, "cert"), value=cert, message=f"cannot be read: {error}", remedy="check the path")


def _pair_problem(path: Path, cert: str, key: str, error: ssl.SSLError) -> Problem:
    if error.reason == "KEY_VALUES_MISMATCH":
        return Problem(
            path=(*path, "key"),
            value=key,
            message=f"does not belong to the certificate {cert}",
            remedy="name the key that the certificate was made with",
        )
    try:
        ssl.create_default_context().load_verify_locations(cafile=cert)
    except ssl.SSLError:
        message = "not a certificate in PEM format"
        return Problem(
            path=(*path, "cert"), value=cert, message=message, remedy="name a file that begins with BEGIN CERTIFICATE"
        )
    return Problem(
        path=(*path, "key"),
        value=key,
        message="not a private key in PEM format, or encrypted",
        remedy="name a file that begins with BEGIN PRIVATE KEY; decrypt it with `openssl pkey` if it has a passphrase",
    )


def _authority(path: Path, file: str) -> Iterator[Problem]:
    if problem := _unreadable(path, file):
        yield problem
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        remedy = "name a file of certificates that begins with BEGIN CERTIFICATE"
        yield Problem(path=path, value=file, message="not certificates in PEM format", remedy=remedy)


def _access_log(settings: BalancerSettings) -> Iterator[Problem]:
    log = settings.access_log
    if not log.enabled or log.path in ("", "-"):
        return
    target = FilePath(log.path)
    writable = (
        os.access(target, os.W_OK) and not target.is_dir() if target.exists() else os.access(target.parent, os.W_OK)
    )
    if not writable:
        yield Problem(
            path=("access_log", "path"),
            value=log.path,
            message="cannot be written",
            remedy="create its directory, allow this user to write there, or write - for standard output",
        )
