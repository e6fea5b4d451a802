"""All four services in one process: what `dits-server up`, the tests and the demo run."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import Protocol

import services.auth.server
import services.chunk.server
import services.lock.server
import services.repo.server
from shared.jobs.catalog import QUEUES, queues_of
from shared.runtime.config import Settings
from shared.server import Runtime, ServiceServer


class ServiceModule(Protocol):
    """What `services/<name>/server.py` offers."""

    @property
    def NEEDS(self) -> tuple[str, ...]:
        """The services that it calls."""

    async def build(self, runtime: Runtime) -> ServiceServer:
        """Returns the server, ready to start."""


# In the order in which they need each other.
SERVICES: dict[str, ServiceModule] = {
    "auth": services.auth.server,
    "chunk": services.chunk.server,
    "repo": services.repo.server,
    "lock": services.lock.server,
}


def addresses(settings: Settings, needs: Iterable[str]) -> dict[str, str]:
    """Returns where a service that runs for itself reaches the services that it needs."""
    return {
        name: getattr(settings, f"{name}_address") or f"{settings.host}:{settings.port(name)}"
        for name in needs
    }


async def build_workers(
    runtime: Runtime, queues: Collection[str] | None = None
) -> list[ServiceServer]:
    """Returns servers, ready to start, that work on queues and serve nothing; None = on all queues."""
    wanted = frozenset(QUEUES if queues is None else queues)
    servers = []
    for name, service in SERVICES.items():
        if wanted.intersection(queues_of(name)):
            where = addresses(runtime.settings, service.NEEDS)
            own = dataclasses.replace(runtime, addresses=where, queues=wanted)
            servers.append(await service.build(own))
    return servers


class Suite:
    """The four services, listening; they still speak to each other over gRPC."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._servers: dict[str, ServiceServer] = {}

    @property
    def addresses(self) -> dict[str, str]:
        """host:port of each service."""
        host = self._runtime.settings.host
        return {name: f"{host}:{server.port}" for name, server in self._servers.items()}

    async def start(self) -> None:
        """Starts all of them or none. Raises StartError."""
        try:
            for name, service in SERVICES.items():
                runtime = dataclasses.replace(self._runtime, addresses=self.addresses)
                server = await service.build(runtime)
                self._servers[name] = server
                await server.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Drains and stops them, those first that call the others."""
        for server in reversed(list(self._servers.values())):
            await server.stop()
        self._servers.clear()
