"""Everything that is to be watched, of the file and of the API, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from holdfast.netpulse.core.forms import split_address
from holdfast.netpulse.core.monitors import kind_of
from holdfast.netpulse.core.ports import Silence, StoredMaintenance, StoredMonitor
from holdfast.netpulse.core.settings import MaintenanceSettings, MonitorSettings, NetpulseSettings

PUSH: Final = "push"
"""The region of what reports itself: heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A monitor, whoever wrote it."""

    key: str
    """``TENANT/ID``."""
    tenant: str
    id: str
    spec: MonitorSettings
    source: str
    """``file`` or ``api``."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.spec.name or self.id

    @property
    def kind(self) -> str:
        """``http``, ``tcp`` ..."""
        return kind_of(self.spec)

    @property
    def parents(self) -> tuple[str, ...]:
        """Full names of the monitors that it depends on."""
        return tuple(f"{self.tenant}/{name}" for name in self.spec.depends_on)


@dataclass(frozen=True)
class World:
    """The settings, and what the API added to them."""

    settings: NetpulseSettings
    stored: tuple[StoredMonitor, ...] = ()
    silences: tuple[Silence, ...] = ()
    stored_maintenance: tuple[StoredMaintenance, ...] = ()
    paused: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """By key. Where both know one, the file is right."""
        tenant = self.settings.tenant
        entries = {
            f"{each.tenant}/{each.id}": Entry(
                key=f"{each.tenant}/{each.id}", tenant=each.tenant, id=each.id, spec=each.spec, source="api"
            )
            for each in self.stored
        }
        for name, spec in self.settings.monitors.items():
            key = f"{tenant}/{name}"
            entries[key] = Entry(key=key, tenant=tenant, id=name, spec=spec, source="file")
        return entries

    @cached_property
    def maintenance(self) -> Mapping[str, Mapping[str, MaintenanceSettings]]:
        """By tenant and id."""
        found: dict[str, dict[str, MaintenanceSettings]] = {}
        for each in self.stored_maintenance:
            found.setdefault(each.tenant, {})[each.id] = each.spec
        found.setdefault(self.settings.tenant, {}).update(self.settings.maintenance)
        return found

    def domain(self, region: str) -> str:
        """The failure domain of a region."""
        settings = self.settings.regions.get(region)
        return (settings.domain if settings is not None else "") or region

    def regions_of(self, entry: Entry) -> Mapping[str, str]:
        """Who watches it: region to failure domain."""
        if entry.spec.heartbeat is not None:
            return {PUSH: PUSH}
        wanted: Iterable[str] = entry.spec.regions or self.settings.regions
        return {region: self.domain(region) for region in wanted if region in self.settings.regions}


def labels_of(entry: Entry) -> Mapping[str, str]:
    """What matchers and correlation see: tags, and what follows from the check."""
    found = dict(entry.spec.tags)
    host = host_of(entry.spec)
    if host and "host" not in found:
        found["host"] = host
    found["monitor"] = entry.id
    found["group"] = entry.spec.group
    found["severity"] = entry.spec.severity
    return found


def host_of(spec: MonitorSettings) -> str:
    """The host that is asked; empty when there is none."""
    if spec.http is not None:
        return urlsplit(spec.http.url).hostname or ""
    if spec.websocket is not None:
        return urlsplit(spec.websocket.url).hostname or ""
    for check in (spec.tcp, spec.tls, spec.grpc):
        if check is not None:
            return split_address(check.address)[0]
    return spec.icmp.host if spec.icmp is not None else ""


def target_of(spec: MonitorSettings) -> str:
    """What is asked, for people: without credentials, query or fragment."""
    for url in (spec.http.url if spec.http else "", spec.websocket.url if spec.websocket else ""):
        if url:
            parts = urlsplit(url)
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    for check in (spec.tcp, spec.tls, spec.grpc):
        if check is not None:
            return check.address
    if spec.dns is not None:
        return f"{spec.dns.name} {spec.dns.type}"
    if spec.icmp is not None:
        return spec.icmp.host
    if spec.heartbeat is not None:
        return f"every {spec.heartbeat.period}"
    return spec.command.argv[0] if spec.command is not None else ""
