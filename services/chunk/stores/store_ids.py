"""The ids of stores: whether what the settings name is what the database means."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from dits.common.v1.error_reason_pb2 import ErrorReason

from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.paired_store import split_store
from shared.errors import DomainError
from shared.runtime.config import ConfigError

# Ids of stores, and where they were when they were first used.
Known: TypeAlias = Mapping[uuid.UUID, str]


async def read_store_id(store: BlobStore) -> uuid.UUID | None:
    """Returns the id of a store; None if it has none. Raises ConfigError if that is damaged."""
    text = await store.read_id()
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        raise ConfigError(f"The id of the store {store.location} is damaged: {text!r}.") from None


async def make_store_id(store: BlobStore) -> uuid.UUID:
    """Returns the id of a store, which gets one if it has none."""
    store_id = await read_store_id(store) or uuid.UUID(await store.create(str(uuid.uuid4())))
    store.expected_id = str(store_id)
    return store_id


def refuse_shared(
    bucket: str, found: Sequence[uuid.UUID | None], others: Mapping[str, BlobStore]
) -> None:
    """Raises ConfigError if a store is that of another region, or of another class."""
    for name, other in others.items():
        for place in split_store(other):
            if place.expected_id is not None and uuid.UUID(place.expected_id) in found:
                raise ConfigError(
                    f"{bucket} and {name} are the same store, {place.location}: each region and each "
                    "class needs a place of its own."
                )


def refuse_others(
    stores: Sequence[BlobStore], known: Known, found: Sequence[uuid.UUID | None]
) -> None:
    """Raises ConfigError if a store is not there in which there are objects, or one is there twice."""
    ids = [store_id for store_id in found if store_id is not None]
    if len(set(ids)) < len(ids):
        raise ConfigError(f"The settings store and second_store mean the same store, {ids[0]}.")
    if known.keys() <= set(ids):
        return
    meant = " and ".join(f"the store {store_id} (once at {known[store_id]})" for store_id in known)
    holds = " and ".join(
        f"{store.location} holds {'no store' if store_id is None else f'the store {store_id}'}"
        for store, store_id in zip(stores, found, strict=True)
    )
    remedy = "mount it, or set store or data_dir to where it is"
    if known.keys() & set(ids):
        remedy = (
            "they are moving, so name the other one as second_store until `dits-server store move` says "
            "that all is there"
        )
    raise ConfigError(
        f"The chunks of region {stores[0].bucket} lie in {meant}, but {holds}: {remedy}. Nothing is lost "
        "by that. If it is gone for good, `dits-server store adopt` takes what is there in its place."
    )


def cannot_be_used(stores: Sequence[BlobStore], error: DomainError) -> ConfigError:
    """Returns what is raised when a store does not answer, or refuses."""
    where = " or ".join(store.location for store in stores)
    if error.reason == ErrorReason.ERROR_REASON_STORE_REFUSES:
        return ConfigError(f"The store {where} cannot be used: {error.message}.")
    return ConfigError(
        f"The store {where} cannot be used; the log says why. Is it there, and may this server use it?"
    )
