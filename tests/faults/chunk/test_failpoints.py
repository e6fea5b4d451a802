"""Kill -9 before each step of the chunk service: nothing promised is lost, no garbage stays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.failpoint_scenes import IN_A_BUCKET, SCENES, move, upload
from tests.support.failpoint_stage import Act, Stage
from tests.support.s3_server import S3Server
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Nobody has patience, and nobody but the test works on jobs."""
    return settings.model_copy(
        update={
            "worker": False,
            "stores": {"far": (str(tmp_path / "far"),)},
            "tiers": {
                name: {"glacier": str(tmp_path / f"{name}-ice")} for name in ("local", "far")
            },
            "glacier_seconds": 0.0,
            "chunk_grace_seconds": 0,
            "reader_grace_seconds": 0,
            "collection_limit_percent": 100,
            "compaction_dead_percent": 20,
        }
    )


@pytest.fixture
async def stage(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> AsyncIterator[Stage]:
    stage = Stage.open(api, settings, databases, tmp_path)
    yield stage
    await stage.close()


# Their work has more steps the more there is.
_GROWING = ("heal", "cool")
_QUICK = ("upload", "collect", "copy", "cool")


@pytest.mark.parametrize(
    "name",
    [each if each in _QUICK else pytest.param(each, marks=pytest.mark.soak) for each in SCENES],
)
async def test_one_kill_after_another(stage: Stage, name: str) -> None:
    """The work is begun again until it is done, and gets one step further each time."""
    await kill_at_each_step(stage, await SCENES[name](stage))
    await stage.remove_everything()


async def kill_at_each_step(stage: Stage, act: Act) -> None:
    """Does work that is killed a step later each time."""
    step = 1
    while await stage.is_killed(act, step):
        await stage.check(act)
        step += 1
    assert step > 1
    await stage.finish(act)


class TestInABucket:
    """The same with the packs of one region on an S3 server."""

    @pytest.fixture
    def settings(self, settings: Settings, s3_server: S3Server, tmp_path: Path) -> Settings:
        return settings.model_copy(update={"store": s3_server.url(tmp_path.name)})

    @pytest.fixture
    async def stage(
        self,
        api: Api,
        settings: Settings,
        databases: Databases,
        tmp_path: Path,
        s3_server: S3Server,
    ) -> AsyncIterator[Stage]:
        bucket = s3_server.client(tmp_path.name)
        stage = Stage.open(api, settings, databases, tmp_path, bucket)
        yield stage
        await stage.close()

    @pytest.mark.parametrize(
        "work",
        [upload, *(pytest.param(each, marks=pytest.mark.soak) for each in IN_A_BUCKET)],
        ids=lambda work: work.__name__,
    )
    async def test_one_kill_after_another(
        self, stage: Stage, work: Callable[[Stage], Awaitable[Act]]
    ) -> None:
        await kill_at_each_step(stage, await work(stage))


class TestBetweenTwoStores:
    """The same while the packs of one region go to another directory."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        return settings.model_copy(update={"second_store": str(tmp_path / "old")})

    async def test_one_kill_after_another(self, stage: Stage) -> None:
        await kill_at_each_step(stage, await move(stage))


@pytest.mark.soak
@pytest.mark.timeout(20 * PATIENCE_SECONDS)
@pytest.mark.parametrize("name", SCENES)
async def test_a_kill_before_each_statement(stage: Stage, name: str) -> None:
    step, is_killed = 0, True
    while is_killed:
        step += 1
        act = await SCENES[name](stage)
        is_killed = await stage.is_killed(act, step, every=True)
        await stage.check(act)
        if is_killed:
            await stage.do(act)
        await stage.finish(act)
        if not is_killed or name in _GROWING:
            await stage.remove_everything()
    assert step > 1
