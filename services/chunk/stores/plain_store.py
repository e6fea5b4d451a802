"""What is true of stores in which everything can be read at once, by the server alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from services.chunk.stores.blob_store import SignedRequest


class PlainStore:
    """The parts of a BlobStore with nothing to do."""

    async def begin_restore(self, key: str, keep: timedelta) -> None:
        """See BlobStore: nothing to do."""

    async def is_restored(self, key: str) -> bool:
        """See BlobStore."""
        del key
        return True

    def sign_request(
        self, method: str, key: str, headers: Mapping[str, str], lasting: timedelta
    ) -> SignedRequest | None:
        """See BlobStore: nobody else can do requests."""
        del method, key, headers, lasting
        return None
