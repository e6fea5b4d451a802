"""Uploads, pushes, deletions, collection and kill -9 at once: no promise is broken, no garbage stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunk_replica import Replica
from tests.support.chunks import files, unsealed
from tests.support.counters import assert_counters
from tests.support.regions import assert_sound, objects
from tests.support.s3_server import S3Server
from tests.support.storage_torture import Torture
from tests.support.torture_moves import list_moves, place_everything
from tests.support.torture_obliterations import Obliterator

# Chunks that lie colder than somebody wants them.
_TOO_COLD = """
    SELECT count(*) FROM chunks c
    WHERE EXISTS (SELECT FROM chunk_refs r
                  WHERE r.chunk_hash = c.hash
                    AND storage_rank(r.storage_class) < storage_rank(c.storage_class))"""

_DONE = ("push", "claim", "delete", "clean", "cool", "obliterate")


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Nobody has patience, and there is another region."""
    return settings.model_copy(
        update={
            "stores": {"far": (str(tmp_path / "far"),)},
            "tiers": {
                region: {"glacier": str(tmp_path / f"{region}-ice")} for region in ("local", "far")
            },
            "glacier_seconds": 0.0,
            "chunk_grace_seconds": 2,
            "reader_grace_seconds": 1,
            "claim_lease_seconds": 5,
            "open_pack_seconds": 3,
            "collection_limit_percent": 100,
            "compaction_dead_percent": 20,
            "pack_bytes": 20_000,
        }
    )


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("seed", "seconds"),
    [(1, 5), *(pytest.param(seed, 120, marks=pytest.mark.soak) for seed in range(2, 5))],
)
async def test_nothing_promised_is_lost_and_no_garbage_stays(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path, seed: int, seconds: int
) -> None:
    await torture(api, settings, databases, tmp_path, seed, seconds)
    assert files(settings) == unsealed(settings) == {}
    assert objects(tmp_path / "far") == []


class TestInABucket:
    """The same with packs on an S3 server."""

    @pytest.fixture
    def settings(self, settings: Settings, s3_server: S3Server) -> Settings:
        return settings.model_copy(update={"store": s3_server.url("torture")})

    @pytest.mark.soak
    @pytest.mark.timeout(1200)
    async def test_nothing_promised_is_lost_and_no_garbage_stays(
        self,
        api: Api,
        settings: Settings,
        databases: Databases,
        tmp_path: Path,
        s3_server: S3Server,
    ) -> None:
        await torture(api, settings, databases, tmp_path, seed=5, seconds=60)
        assert s3_server.names("torture") == ["dits-owner-0", "dits-store"]


async def torture(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path, seed: int, seconds: int
) -> None:
    """Lets people work beside kills and collectors, checks what was promised, and deletes everything."""
    replica = Replica(api, settings)
    replica.start()
    (database,) = databases.every()
    obliterator = Obliterator(api, seed)
    others = list_moves(database) | {"obliterate": obliterator.work}
    play = Torture(api, settings, database, tmp_path, seed, replica, others=others)
    try:
        await play.run(seconds)
        replica.kill()
        replica.start()
        assert min(play.done.get(each, 0) for each in _DONE) > 0, play.done
        assert await api.value(_TOO_COLD) == 0
        await assert_counters(api.dsn)
        await play.end_lost_work()
        await place_everything(api, database)
        await play.warm_everything()
        await play.check_pushes()
        await obliterator.check(databases)
        await assert_sound(api, databases, settings)
    finally:
        play.close()
    await play.remove_everything()
    for region in ("local", "far"):
        assert objects(tmp_path / f"{region}-ice") == []
    for table in ("chunks", "chunk_refs", "packs", "object_deletions", "due_copies"):
        assert await api.value(f"SELECT count(*) FROM {table}") == 0, table
