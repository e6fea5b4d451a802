"""Who obliterates files in the torture test: their bytes go at once, those of other files stay."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from shared.db.pool import Databases
from tests.support.api import Api
from tests.support.chunks import Shelf
from tests.support.obliterations import obliterate
from tests.support.repositories import Holding
from tests.support.tiers import TierDesk
from tests.support.trees import CHUNK, save


@dataclass(slots=True)
class Obliterator:
    """Pushes two files that share a chunk, and obliterates one.

    Attributes:
        kept: repositories, each with the chunks of the other file.
    """

    api: Api
    seed: int
    kept: list[tuple[Shelf, list[bytes]]] = field(default_factory=list)

    async def work(self) -> None:
        """Does it with a repository of its own; all of them share some chunks."""
        rng = random.Random(f"{self.seed} {len(self.kept)}")
        common = [random.Random(n).randbytes(CHUNK) for n in range(4)]
        secret, shared, other = rng.randbytes(CHUNK), rng.choice(common), rng.randbytes(CHUNK)
        films = await Holding.open(self.api)
        files = {"secret": secret + shared, "kept": shared + other}
        await save(self.api, films.owner, films.repository, files)
        await obliterate(films, "secret", secret + shared)
        shelf = Shelf(self.api, films.owner, films.repository)
        self.kept.append((shelf, [shared, other]))
        assert await shelf.missing(secret, shared, other) == [True, False, False]
        await asyncio.sleep(0.3)

    async def check(self, databases: Databases) -> None:
        """The other files can be read, once they are made hot."""

        async def read(shelf: Shelf, chunks: list[bytes]) -> None:
            await TierDesk(shelf, databases).set_class("standard", *chunks)
            await shelf.get(*chunks)

        # All at once: they share chunks.
        await asyncio.gather(*(read(*each) for each in self.kept))
