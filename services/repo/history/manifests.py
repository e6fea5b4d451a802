"""Stored manifests: read in bounded statements, each with the bases that it is a delta to."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Protocol
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry, Manifest

from services.repo.history.batches import split_batches
from services.repo.history.manifest_forms import MAX_DELTA_DEPTH, measure_content, open_forms
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import manifest_corrupt
from shared.runtime.weighed_work import STEPS_ON_LOOP, do_weighed

Q = sql.load(__file__)

# Manifests that one statement reads, and bytes that are decoded for them, if it is more than one.
BATCH = 500
BATCH_BYTES = 32 << 20
NO_LIMIT = 1 << 62
STATEMENT_SECONDS = 5.0
# Bytes that are decoded and parsed in some microseconds.
BYTES_PER_STEP = 128


class Fetch(Protocol):
    """Returns all rows of one statement."""

    async def __call__(self, query: str, *arguments: object) -> list[Row]:
        """Runs it."""


@dataclass(frozen=True, slots=True)
class StoredForm:
    """A manifest as it is stored: zstd, and the hash of its base; None = it stands alone."""

    content: bytes
    base: str | None


class ManifestForms:
    """Some manifests as they are stored, with all their bases."""

    def __init__(self) -> None:
        self._forms: dict[str, StoredForm] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Adds manifests as they were read."""
        for row in rows:
            self._forms[row["hash"]] = StoredForm(row["content"], row["delta_base"])

    @property
    def steps(self) -> int:
        """How many steps it takes to open and parse them all. Raises MANIFEST_CORRUPT."""
        if len(self._forms) > STEPS_ON_LOOP:
            return len(self._forms)
        return sum(map(self.measure, self._forms)) // BYTES_PER_STEP

    def __contains__(self, digest: str) -> bool:
        """Returns whether a manifest is here."""
        return digest in self._forms

    def measure(self, digest: str) -> int:
        """Returns how many canonical bytes a manifest has. Raises MANIFEST_CORRUPT."""
        return measure_content(digest, self._forms[digest].content)

    def open(self, digest: str) -> bytes:
        """Returns the canonical bytes of a manifest. Takes a while. Raises MANIFEST_CORRUPT."""
        chain: list[StoredForm] = []
        name: str | None = digest
        while name is not None:
            if name not in self._forms or len(chain) > MAX_DELTA_DEPTH:
                raise manifest_corrupt(digest)
            chain.append(self._forms[name])
            name = chain[-1].base
        return open_forms(digest, (form.content for form in reversed(chain)))


async def read_forms(
    fetch: Fetch, repository_id: UUID, hashes: Collection[str]
) -> AsyncIterator[tuple[list[str], ManifestForms]]:
    """Yields some manifests, those that exist: the hashes of some of them, and their forms."""
    left = sorted(hashes)
    while left:
        batch, left = left[:BATCH], left[BATCH:]
        forms = ManifestForms()
        forms.add(await fetch(Q.manifest_forms, repository_id, batch, BATCH_BYTES))
        found = [digest for digest in batch if digest in forms]
        if found:
            yield found, forms
        # Where none was found, none of the batch exists.
        left = [digest for digest in batch if digest not in forms and found] + left


async def load_forms(
    connection: Connection, repository_id: UUID, hashes: Collection[str]
) -> ManifestForms:
    """Returns those of some manifests that exist, all at once."""
    forms = ManifestForms()
    for batch in split_batches(sorted(hashes), BATCH):
        forms.add(await connection.fetch(Q.manifest_forms, repository_id, batch, NO_LIMIT))
    return forms


async def load_manifests(
    connection: Connection, repository_id: UUID, hashes: Collection[str]
) -> dict[str, Manifest]:
    """Returns some manifests by hash; those that exist. Raises MANIFEST_CORRUPT."""
    loaded: dict[str, Manifest] = {}
    async for found, forms in read_forms(connection.fetch, repository_id, hashes):
        loaded |= await do_weighed(forms.steps, _parse_all, found, forms)
    return loaded


def _parse_all(found: Collection[str], forms: ManifestForms) -> dict[str, Manifest]:
    # They were checked when they were pushed.
    return {digest: Manifest.FromString(forms.open(digest)) for digest in found}


async def load_contents(
    database: Database, repository_id: UUID, hashes: Collection[str]
) -> AsyncIterator[list[tuple[bytes, list[str]]]]:
    """Yields some manifests, those that exist, in lists: canonical bytes, manifests of sub-directories.

    Raises MANIFEST_CORRUPT.
    """
    fetch = partial(database.fetch, seconds=STATEMENT_SECONDS)
    async for found, forms in read_forms(fetch, repository_id, hashes):
        yield await asyncio.to_thread(_open_all, found, forms)


def _open_all(found: Collection[str], forms: ManifestForms) -> list[tuple[bytes, list[str]]]:
    contents = [forms.open(digest) for digest in found]
    return [(content, child_hashes(Manifest.FromString(content))) for content in contents]


async def find_entries(
    database: Database, repository_id: UUID, wanted: Mapping[str, Collection[str]]
) -> dict[str, dict[str, Entry]]:
    """Returns entries by name, of some manifests by hash; those that exist.

    Of the manifests, one at a time is in memory, and none is kept. Raises MANIFEST_CORRUPT.
    """
    picked: dict[str, dict[str, Entry]] = {}
    fetch = partial(database.fetch, seconds=STATEMENT_SECONDS)
    async for found, forms in read_forms(fetch, repository_id, wanted):
        picked |= await asyncio.to_thread(_open_entries, found, forms, wanted)
    return picked


def _open_entries(
    found: Collection[str], forms: ManifestForms, wanted: Mapping[str, Collection[str]]
) -> dict[str, dict[str, Entry]]:
    return {
        digest: dict(pick_entries(Manifest.FromString(forms.open(digest)), wanted[digest]))
        for digest in found
    }


def pick_entries(manifest: Manifest, names: Collection[str]) -> Iterator[tuple[str, Entry]]:
    """Yields some names with copies of their entries, which would keep the manifest in memory."""
    entries = manifest.entries
    for name in names:
        at = bisect_left(entries, name, key=attrgetter("name"))
        if at < len(entries) and entries[at].name == name:
            copy = Entry()
            copy.CopyFrom(entries[at])
            yield name, copy


def child_manifest(entry: Entry | None) -> str | None:
    """Returns the hash of the manifest of a directory; None for anything else."""
    if entry is None or not entry.HasField("directory"):
        return None
    return entry.directory.manifest_hash.hex()


def child_hashes(manifest: Manifest) -> list[str]:
    """Returns the hashes of the manifests of the sub-directories."""
    return [
        entry.directory.manifest_hash.hex()
        for entry in manifest.entries
        if entry.HasField("directory")
    ]
