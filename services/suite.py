"""All four services in one process: what `dits-server up`, the tests and the demo run."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

import services.auth.server
import services.chunk.server
import services.lock.server
import services.repo.server
from shared.rpc.server import Runtime, ServiceServer
from shared.runtime.config import Settings

Build = Callable[[Runtime], Awaitable[ServiceServer]]

# In the order in which they need each other.
BUILDERS: dict[str, Build] = {
    "auth": services.auth.server.build,
    "chunk": services.chunk.server.build,
    "repo": services.repo.server.build,
    "lock": services.lock.server.build,
}


def addresses(settings: Settings) -> dict[str, str]:
    """Where services reach each other when each runs for itself."""
    return {
        "auth": settings.auth_address or f"{settings.host}:{settings.auth_port}",
        "repo": settings.repo_address or f"{settings.host}:{settings.repo_port}",
        "chunk": settings.chunk_address or f"{settings.host}:{settings.chunk_port}",
    }


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
            for name, build in BUILDERS.items():
                runtime = dataclasses.replace(self._runtime, addresses=self.addresses)
                server = await build(runtime)
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
