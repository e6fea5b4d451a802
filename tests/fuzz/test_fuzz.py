"""Thousands of calls that nobody means, beside one caller who means it."""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

import pytest

from tests.fuzz.calls import Fuzzer
from tests.fuzz.probe import Waits, probing
from tests.fuzz.server import running_server
from tests.fuzz.stored_text import find_unwanted_text
from tests.fuzz.world import make_world, remote_api

SEED = int(os.environ.get("FUZZ_SEED", "1"))
CALLS = int(os.environ.get("FUZZ_CALLS", "200000"))


async def attack(dsn: str, folder: Path, count: int) -> None:
    with running_server(dsn, folder) as server:
        async with remote_api(server, dsn) as api:
            world = await make_world(api)
            fuzzer = Fuzzer(api, world, SEED)
            # What is allocated once, as pools and threads, is there after these.
            await fuzzer.run(0, 600)
            before = server.resident_bytes()
            address, token = server.addresses["repo"], world.witness.token
            with probing(address, token, world.witnessed.id) as waits:
                await fuzzer.run(600, count)
            assert await find_unwanted_text(api) == []
            await server.until_released(before)
            after = server.resident_bytes()
        sys.stdout.write(summary(fuzzer, waits, before, after))
        assert fuzzer.failures == []
        server.stop()
    waits.assert_served()


def summary(fuzzer: Fuzzer, waits: Waits, before: int, after: int) -> str:
    """What happened, in a few lines."""
    lines = [f"{path} {how}: {count}" for (path, how), count in sorted(fuzzer.outcomes.items())]
    lines += [
        f"memory {before >> 20} MB, then {after >> 20} MB",
        f"another caller waited {waits.percentile(0.5) * 1000:.0f} ms (median), "
        f"{waits.percentile(0.99) * 1000:.0f} ms (p99), {max(waits.seconds) * 1000:.0f} ms (most); "
        f"the machine was {statistics.mean(waits.slowness):.1f} times slower than if left alone",
    ]
    return "\n".join(lines)


async def test_a_thousand_calls(dsn: str, tmp_path: Path) -> None:
    await attack(dsn, tmp_path, 1_000)


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_very_many_calls(dsn: str, tmp_path: Path) -> None:
    await attack(dsn, tmp_path, CALLS)
