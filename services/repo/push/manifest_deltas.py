"""In which form a push stores a manifest: alone, or as a delta to what its directory was before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from services.repo.history.batches import split_batches
from services.repo.history.manifest_forms import MAX_DELTA_DEPTH, compress_delta
from services.repo.history.manifests import ManifestForms, load_forms
from services.repo.push.preparation import PreparedPush
from shared.db import sql
from shared.db.pool import Connection
from shared.runtime.weighed_work import do_weighed

Q = sql.load(__file__)

# Manifests of up to this many canonical bytes stand alone.
MAX_WHOLE_BYTES = 64 << 10
# As long as the delta to the base of what the directory was before is no larger than this, that
# base is taken again, and the chain does not grow.
SHARED_BASE_BYTES = 4 << 10
# What is decoded to read a manifest, in multiples of its own bytes: a chain of equals at its end has 17.
MAX_DECODED = 20
# Manifests that one step looks at, and bytes that are decoded for it, if it is more than one.
BATCH = 100
BATCH_BYTES = 64 << 20


class Link(NamedTuple):
    """Where a manifest stands in a chain.

    Attributes:
        base: hash of the manifest that it is a delta to; None = it stands alone.
        depth: how many bases there are in one another, at most.
        decoded: bytes that are decoded to read it, at most.
    """

    base: str | None
    depth: int
    decoded: int


class ChosenForm(NamedTuple):
    """How a new manifest is stored: zstd, and its place in a chain."""

    content: bytes
    link: Link


@dataclass(slots=True)
class FormChoice:
    """The forms of the new manifests of a push, as far as they are chosen.

    Attributes:
        contents: canonical bytes of the manifests of the push.
        whole: the forms of these that stand alone.
        before: for a directory's manifest, the one that it had before.
        stored: the places of those that are in the database.
        chosen: the forms of those that are new.
        bases: of the database, what a batch may take for its bases.
    """

    contents: Mapping[str, bytes]
    whole: Mapping[str, bytes]
    before: Mapping[str, str]
    stored: Mapping[str, Link]
    chosen: dict[str, ChosenForm] = field(default_factory=dict)
    bases: ManifestForms = field(default_factory=ManifestForms)

    def find_link_before(self, digest: str) -> Link | None:
        """Returns the place of what the directory was before, unless that is chosen later or too costly."""
        before = self.before.get(digest, "")
        form = self.chosen.get(before)
        link = self.stored.get(before) if form is None else form.link
        if link is None or link.decoded > MAX_DECODED * len(self.contents[digest]):
            return None
        return link

    def name_bases(self, digest: str) -> set[str]:
        """Returns the manifests of the database that a manifest may take for its base."""
        link = self.find_link_before(digest)
        names = {self.before[digest], link.base} if link is not None else set()
        return {name for name in names if name is not None and name not in self.contents}

    def choose(self, digest: str) -> None:
        """Chooses the smallest form of a manifest; at its end a chain goes on only if little changed."""
        alone = ChosenForm(self.whole[digest], Link(None, 0, len(self.contents[digest])))
        link, before = self.find_link_before(digest), self.before.get(digest, "")
        if link is None or not self._is_here(before):
            self.chosen[digest] = alone
            return
        beside = None
        if link.base is not None and self._is_here(link.base):
            decoded = link.decoded - self._measure(before)
            beside = self._compress(digest, Link(link.base, link.depth, decoded))
        if beside is not None and len(beside.content) <= SHARED_BASE_BYTES:
            self.chosen[digest] = beside
            return
        behind = self._compress(digest, Link(before, link.depth + 1, link.decoded))
        found = [alone] if behind is None else [form for form in (alone, beside, behind) if form]
        self.chosen[digest] = min(found, key=lambda form: len(form.content))

    def _compress(self, digest: str, place: Link) -> ChosenForm | None:
        """Returns a manifest as a delta; `place` lacks its own bytes. None = the chain is too long."""
        content = self.contents[digest]
        decoded = place.decoded + len(content)
        if place.depth > MAX_DELTA_DEPTH or decoded > MAX_DECODED * len(content):
            return None
        base = self._open(place.base or "")
        if not base:
            return None
        return ChosenForm(compress_delta(content, base), place._replace(decoded=decoded))

    def _is_here(self, digest: str) -> bool:
        return digest in self.contents or digest in self.bases

    def _measure(self, digest: str) -> int:
        content = self.contents.get(digest)
        return self.bases.measure(digest) if content is None else len(content)

    def _open(self, digest: str) -> bytes:
        content = self.contents.get(digest)
        return self.bases.open(digest) if content is None else content


async def choose_forms(
    connection: Connection,
    repository_id: UUID,
    prepared: PreparedPush,
    new: Iterable[str],
    before: Mapping[str, str],
) -> dict[str, ChosenForm]:
    """Returns the forms in which the new manifests of a push are stored. Raises MANIFEST_CORRUPT.

    `before` names for a directory's manifest the one that it had before; it is kept from being deleted.
    """
    contents = prepared.push.contents
    large = {digest for digest in new if len(contents[digest]) > MAX_WHOLE_BYTES}
    chained = {digest: name for digest, name in before.items() if digest in large}
    stored = await _lock_bases(connection, repository_id, set(chained.values()))
    choice = FormChoice(contents, prepared.stored, chained, stored)
    whole = [digest for digest in new if digest not in chained]
    await do_weighed(len(whole), _choose_all, choice, whole)
    # In the order in which they came, in which a directory mostly comes after what it was before.
    for batch in _split_by_cost(choice, [digest for digest in contents if digest in chained]):
        names = set[str]().union(*map(choice.name_bases, batch))
        choice.bases = await load_forms(connection, repository_id, names)
        await asyncio.to_thread(_choose_all, choice, batch)
    return choice.chosen


def _choose_all(choice: FormChoice, batch: Iterable[str]) -> None:
    for digest in batch:
        choice.choose(digest)


def _split_by_cost(choice: FormChoice, hashes: Iterable[str]) -> Iterator[list[str]]:
    """Yields manifests in lists that one step looks at; what is known of each batch helps the next."""
    batch: list[str] = []
    cost = 0
    for digest in hashes:
        link = choice.find_link_before(digest)
        more = len(choice.contents[digest]) if link is None else link.decoded
        if batch and (len(batch) == BATCH or cost + more > BATCH_BYTES):
            yield batch
            batch, cost = [], 0
        batch.append(digest)
        cost += more
    if batch:
        yield batch


async def _lock_bases(
    connection: Connection, repository_id: UUID, names: set[str]
) -> dict[str, Link]:
    """Returns the places of those of some manifests that exist; they stay to the end of the transaction."""
    rows = []
    for batch in split_batches(sorted(names)):
        rows += await connection.fetch(Q.lock_bases, repository_id, batch)
    return {
        row["hash"]: Link(row["delta_base"], row["delta_depth"], row["decoded_bytes"])
        for row in rows
    }
