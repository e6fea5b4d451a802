"""Receivers that hang, and servers that die while they send: nothing is lost, nobody else waits."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from dits.repo.v1 import webhook_service_pb2 as pb

from services.repo.webhooks.sender import Sender
from shared.runtime.config import Settings
from tests.support import receivers
from tests.support.api import running_suite
from tests.support.receivers import HttpReceiver, answer
from tests.support.waiting import PATIENCE_SECONDS
from tests.support.webhooks import Hooks

ALLOWED = {"webhook_allow": ("127.0.0.1",)}
HUNG = 16


async def test_receivers_that_hang_hold_up_nobody(
    dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bad ones are not given up before the good one has all.
    defaults = Sender.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "seconds", 10 * PATIENCE_SECONDS)
    async with running_suite(dsn, settings.model_copy(update=ALLOWED)) as api:
        hooks = await Hooks.of_repository(api)
        async with HttpReceiver(receivers.hang) as bad, HttpReceiver() as good:
            for _ in range(HUNG):
                await hooks.create(bad.url)
            await hooks.happen(50)
            await bad.wait_for(4 * HUNG)
            webhook = await hooks.create(good.url)
            for number in range(1, 6):
                await hooks.happen(10)
                await good.wait_for(20 * number)
            await hooks.wait_for_state(pb.DELIVERY_STATE_SUCCEEDED, 100, webhook.id)
            assert bad.most_open <= 4 * HUNG
            assert len(bad.requests) <= 4 * HUNG
            made = await api.value("SELECT count(*) FROM webhook_deliveries WHERE attempt = 1")
            assert made == 100 + HUNG * 200


@asynccontextmanager
async def serving(dsn: str, settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own that serves repo, and works on its jobs."""
    environment = {
        "PATH": os.environ["PATH"],
        "DITS_DATABASE_URL": dsn,
        "DITS_REPO_PORT": "0",
        "DITS_DATA_DIR": str(settings.data_dir),
        "DITS_SERVER_KEY": str(settings.server_key),
        "DITS_WEBHOOK_ALLOW": "127.0.0.1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli", "serve", "repo", env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.timeout(180)
async def test_kill_between_sending_and_recording(dsn: str, settings: Settings) -> None:
    """Kill -9 while the receiver thinks, and just after it has answered."""
    quiet = settings.model_copy(update={**ALLOWED, "worker": False})
    async with running_suite(dsn, quiet) as api, HttpReceiver(receivers.hang) as receiver:
        hooks = await Hooks.of_repository(api)
        webhook = await hooks.create(receiver.url, "branch.created")
        await hooks.happen(3)
        async with serving(dsn, settings) as process:
            await receiver.wait_for(3)
            process.send_signal(signal.SIGKILL)
        await pass_leases(hooks)
        receiver.behaviour = answer()
        async with serving(dsn, settings) as process:
            await hooks.wait_until_recorded(3)
            await hooks.skip(timedelta(minutes=1))
            await receiver.wait_for(6)
            process.send_signal(signal.SIGKILL)
        await pass_leases(hooks)
        async with serving(dsn, settings):
            await hooks.wait_until_recorded(6)
            await hooks.skip(timedelta(minutes=5))
            delivered = await hooks.wait_for_state(pb.DELIVERY_STATE_SUCCEEDED, 3, webhook.id)
        shown = [await hooks.get_delivery(delivery.id) for delivery in delivered]
    received = [request.headers["x-dits-event-id"] for request in receiver.requests]
    assert set(received) == {delivery.event_id for delivery in delivered}
    assert len(delivered) == 3
    # Each request that arrived has its attempt.
    assert sum(len(delivery.attempts) for delivery in shown) == len(received)
    for delivery in shown:
        assert delivery.attempts[0].error.startswith("The server stopped before it knew")
        assert delivery.attempts[-1].status == 200


async def pass_leases(hooks: Hooks) -> None:
    """Has the leases of the attempts and jobs of the dead process end."""
    await hooks.api.fetch(
        """UPDATE webhook_deliveries SET started_at = started_at - interval '30 seconds'
           WHERE state = 'pending' AND started_at IS NOT NULL"""
    )
    await hooks.api.fetch(
        """UPDATE jobs SET status = 'pending', lease_token = NULL, locked_until = NULL,
                           scheduled_at = now()
           WHERE status = 'running'"""
    )
