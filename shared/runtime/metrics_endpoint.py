"""The HTTP endpoint that a Prometheus server scrapes: `GET /metrics`, no password, off by default."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import start_http_server

from shared.runtime.config import Settings
from shared.runtime.metrics import LOOP_LAG_SECONDS, REGISTRY
from shared.runtime.process import cannot_listen

log = structlog.get_logger(__name__)

# How often the lag of the event loop is measured.
_PAUSE_SECONDS = 0.1


@asynccontextmanager
async def metrics_endpoint(settings: Settings) -> AsyncIterator[int | None]:
    """Serves the metrics of this process as long as the block lasts; yields the port, None if it is off.

    Threads of its own answer, so a slow scraper holds nothing up. Raises StartError if the port is taken.
    """
    if settings.metrics_port is None:
        yield None
        return
    host = settings.host.strip("[]")
    try:
        server, thread = start_http_server(settings.metrics_port, host, REGISTRY)
    except OSError as error:
        what = "The metrics cannot be served"
        raise cannot_listen(what, settings.host, settings.metrics_port, "--metrics-port") from error
    lag = asyncio.create_task(_measure_lag())
    log.info("metrics", host=settings.host, port=server.server_port)
    try:
        yield server.server_port
    finally:
        lag.cancel()
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


async def _measure_lag() -> None:
    """Notes again and again how much later than asked for the loop wakes it."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _PAUSE_SECONDS
        await asyncio.sleep(_PAUSE_SECONDS)
        LOOP_LAG_SECONDS.observe(max(0.0, loop.time() - due))
