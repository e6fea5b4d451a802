"""What a lane has sent leaves nothing in the memory of its process."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from dits.repo.v1 import webhook_service_pb2 as pb

from services.repo.webhooks.lane import DeliveryLane
from shared.runtime.config import Settings
from tests.integration.schema.rows import connected, until
from tests.support.receivers import HttpReceiver, answer
from tests.support.webhooks import Lanes

ANSWER = b"x" * (64 << 10)
DELIVERIES = 400


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Every URL is taken; the suite itself sends nothing, because it works on no queue."""
    return settings.model_copy(update={"webhook_allow": ("127.0.0.1",), "worker": False})


def resident() -> int:
    """Bytes of memory that this process has now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
async def test_memory_is_flat_however_much_is_answered(lanes: Lanes) -> None:
    lane = lanes.make(seconds=10)
    async with HttpReceiver(answer(200, ANSWER)) as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        # The first ones fill caches.
        await send_new(lanes, lane, webhook, 40)
        before = resident()
        await send_new(lanes, lane, webhook, DELIVERIES)
        assert len(receiver.requests) == 40 + DELIVERIES
        grown = resident() - before
    # The receiver of the test keeps requests, which are small.
    assert grown < DELIVERIES * len(ANSWER) / 2


async def send_new(lanes: Lanes, lane: DeliveryLane, webhook: pb.Webhook, count: int) -> None:
    """Has things happen, and sends what comes of them."""
    await lanes.hooks.happen(count // 2)
    waiting = "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'"
    async with connected(lanes.hooks.api.dsn) as connection:
        await until(connection, f"SELECT ({waiting}) = {count}")
    while await lanes.send(webhook, lane) is not None:
        pass
