"""Manifests that are looked at together, as many groups of them at once as memory allows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Manifest

from services.repo.history.manifests import ManifestForms, load_forms, read_forms
from shared.db.pool import Database
from shared.errors import contention

# Groups that one step looks at; how much of them is in memory is bounded by `read_forms`.
GROUPS = 32
STATEMENT_SECONDS = 5.0


class Group(Protocol):
    """Something that is about some manifests."""

    @property
    def manifests(self) -> Collection[str]:
        """Their hashes."""


AnyGroup = TypeVar("AnyGroup", bound=Group)


async def read_groups(
    database: Database, repository_id: UUID, groups: Sequence[AnyGroup]
) -> tuple[list[AnyGroup], ManifestForms]:
    """Returns the first groups that can be looked at together, at least one, and their manifests.

    Raises CONTENTION if a manifest was collected meanwhile.
    """
    some = list(groups[:GROUPS])
    fetch = partial(database.fetch, seconds=STATEMENT_SECONDS)
    async for _, forms in read_forms(fetch, repository_id, _list_manifests(some)):
        ready = [group for group in some if all(name in forms for name in group.manifests)]
        if ready:
            return ready, forms
        break
    first = some[:1]
    async with database.connection() as connection:
        forms = await load_forms(connection, repository_id, _list_manifests(first))
    if any(name not in forms for name in first[0].manifests):
        raise contention("the history changed while it was read")
    return first, forms


def open_manifest(forms: ManifestForms, digest: str) -> Manifest:
    """Returns a manifest. Takes a while. Raises MANIFEST_CORRUPT."""
    return Manifest.FromString(forms.open(digest))


def open_content(forms: ManifestForms, digest: str | None) -> bytes:
    """Returns the canonical bytes of a manifest; none for None. Takes a while. Raises MANIFEST_CORRUPT."""
    return b"" if digest is None else forms.open(digest)


def _list_manifests(groups: Sequence[Group]) -> set[str]:
    return {name for group in groups for name in group.manifests}
