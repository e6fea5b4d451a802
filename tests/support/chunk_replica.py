"""A second chunk service, in a process of its own that tests kill and stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc

from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.waiting import PATIENCE_SECONDS


class Replica:
    """A chunk service in a process of its own, over the same database and store."""

    def __init__(self, api: Api, settings: Settings) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._settings = settings
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("DITS_")} | {
            "DITS_DATABASE_URL": api.dsn,
            "DITS_AUTH_ADDRESS": api.addresses["auth"],
            "DITS_CHUNK_PORT": self.address.rpartition(":")[2],
            "DITS_DATA_DIR": str(settings.data_dir),
            "DITS_SERVER_KEY": settings.server_key or "",
            "DITS_PACK_BYTES": str(settings.pack_bytes),
            "DITS_CHUNK_GRACE_SECONDS": str(settings.chunk_grace_seconds),
            "DITS_READER_GRACE_SECONDS": str(settings.reader_grace_seconds),
            "DITS_CLAIM_LEASE_SECONDS": str(settings.claim_lease_seconds),
            "DITS_COLLECTION_LIMIT_PERCENT": "100",
            "DITS_COMPACTION_DEAD_PERCENT": str(settings.compaction_dead_percent),
            "DITS_TIERS": json.dumps(settings.tiers),
            "DITS_GLACIER_SECONDS": str(settings.glacier_seconds),
            **({"DITS_STORE": settings.store} if settings.store else {}),
            "DITS_STORES": json.dumps(settings.stores),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, step: int = 0) -> None:
        """Starts it; it kills itself at a step, unless that is 0: see tests.support.killed_service."""
        module = ["tests.support.killed_service", str(step)] if step else ["services.cli"]
        command = [sys.executable, "-m", *module, "serve", "chunk"]
        self._process = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> bool:
        """Ends it as kill -9 does; returns whether it has done so itself before."""
        if self._process is None:
            return False
        has_ended = self._process.poll() == -signal.SIGKILL
        self._process.kill()
        self._process.wait()
        return has_ended

    async def pause(self, seconds: float) -> None:
        """Stops it for a while, as a machine that is overloaded does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            self._process.send_signal(signal.SIGCONT)

    async def ready(self) -> None:
        """Waits until it answers, or has ended."""
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            grpc.aio.insecure_channel(self.address) as channel,
        ):
            answer = asyncio.create_task(channel.channel_ready())
            while not answer.done() and self._process is not None and self._process.poll() is None:
                await asyncio.wait({answer}, timeout=0.1)
            answer.cancel()
