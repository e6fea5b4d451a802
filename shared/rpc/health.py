"""The standard health service: SERVING until the server begins to drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from grpc_health.v1 import health_pb2 as pb

from shared.errors import not_found
from shared.rpc.call import Call


class Health:
    """Health of the whole server ("") and of each of its services."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = {"", *services}
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """From now on load balancers shall send nothing more."""
        self._draining.set()

    async def Check(self, request: pb.HealthCheckRequest, _call: Call) -> pb.HealthCheckResponse:
        """The state now."""
        if request.service not in self._services:
            raise not_found("service", request.service)
        return self._state()

    async def List(self, _request: pb.HealthListRequest, _call: Call) -> pb.HealthListResponse:
        """The state of all of them."""
        return pb.HealthListResponse(statuses=dict.fromkeys(self._services, self._state()))

    async def Watch(
        self, request: pb.HealthCheckRequest, _call: Call
    ) -> AsyncIterator[pb.HealthCheckResponse]:
        """The state now and when it changes; SERVICE_UNKNOWN, as the standard says, if not ours."""
        if request.service not in self._services:
            yield pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVICE_UNKNOWN)
            return
        yield self._state()
        if not self._draining.is_set():
            await self._draining.wait()
            yield self._state()

    def _state(self) -> pb.HealthCheckResponse:
        draining = self._draining.is_set()
        state = pb.HealthCheckResponse.NOT_SERVING if draining else pb.HealthCheckResponse.SERVING
        return pb.HealthCheckResponse(status=state)
