"""The erasure of a large file that was obliterated, step by step instead of by a job."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from blake3 import blake3

from services.admin.fsck import check_everything
from services.chunk.collection.released_lists import ReleasedLists
from shared.db.pool import Database
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.counters import assert_counters
from tests.support.obliterations import LARGE, has_chunk, lift, obliterate
from tests.support.release import connected
from tests.support.repositories import Holding
from tests.support.stores import open_store
from tests.support.trees import CHUNK, build, save, upload

# Two batches of chunks, and then the recipe.
BATCH = 6
STEPS = 3
PARTS = {blake3(LARGE[at : at + CHUNK]).hexdigest(): at for at in range(0, len(LARGE), CHUNK)}
FILES: dict[str, bytes | str] = {"large": LARGE}
CHUNKS = build(FILES).chunks


@dataclass(slots=True)
class Erasure:
    """A repository whose only file is obliterated, and no job works on that."""

    films: Holding
    head: str
    database: Database
    settings: Settings

    @classmethod
    @asynccontextmanager
    async def open(cls, api: Api, settings: Settings) -> AsyncIterator[Erasure]:
        await api.fetch(
            """CREATE FUNCTION put_off() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN NEW.scheduled_at := now() + interval '1 day'; RETURN NEW; END $$"""
        )
        await api.fetch(
            """CREATE TRIGGER put_off BEFORE INSERT OR UPDATE OF scheduled_at ON jobs FOR EACH ROW
               WHEN (NEW.job_type = 'erase_chunks') EXECUTE FUNCTION put_off()"""
        )
        films = await Holding.open(api)
        await save(api, films.owner, films.repository, {"a": b"1"})
        head = await save(api, films.owner, films.repository, FILES, branch="look")
        async with connected(api) as database:
            erasure = cls(films, head, database, settings)
            await erasure.obliterate()
            yield erasure

    async def obliterate(self) -> None:
        await obliterate(self.films, "large", LARGE, revision=self.head)

    async def lift(self) -> None:
        await lift(self.films, "large", LARGE, revision=self.head)

    async def restore(self) -> None:
        """Makes it as it was at the start, whatever has happened since."""
        await self.upload()
        await self.lift()
        await self.finish()
        await self.obliterate()

    async def upload(self) -> None:
        await upload(self.films.api, self.films.owner, self.films.repository, CHUNKS)

    def work(self) -> AsyncGenerator[int, None]:
        """What the job does, step by step."""
        return self._lists().erase_chunks(self.database, UUID(self.films.id))

    async def finish(self) -> int:
        """How many chunks the collection releases."""
        async with aclosing(self._lists().release_chunks(self.database)) as counts:
            return sum([count async for count in counts])

    def _lists(self) -> ReleasedLists:
        store = open_store(self.settings)
        return ReleasedLists({store.bucket: store})

    async def count_chunks(self) -> int:
        """How many of the chunks that the file has can be downloaded; a claim, too."""
        found = [await has_chunk(self.films, LARGE[at : at + CHUNK]) for at in PARTS.values()]
        return sum(found)

    async def count_lists(self) -> int:
        count: int = await self.films.api.value("SELECT count(*) FROM released_lists")
        return count

    async def assert_right(self) -> None:
        """The counters, and what fsck says."""
        await assert_counters(self.films.api.dsn)
        report = await check_everything(self.database, self.settings, repair=False)
        assert report.faults == []


async def take(steps: AsyncGenerator[int, None], count: int) -> None:
    for _ in range(count):
        await anext(steps)
