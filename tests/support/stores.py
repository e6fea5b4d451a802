"""The store of a running service, opened a second time."""

from __future__ import annotations

from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.opening import open_stores
from shared.runtime.config import Settings


def open_store(settings: Settings) -> BlobStore:
    """The store of the settings, whichever it is."""
    [store] = open_stores(settings, settings.region)
    return store
