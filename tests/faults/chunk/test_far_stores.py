"""A far region that answers half of what a server asks when it begins is away: it begins without it."""

from __future__ import annotations

import pytest

from services.chunk.stores.opening import open_known_stores
from shared.db.pool import Databases
from shared.runtime.config import ConfigError, Settings
from tests.support.s3_proxy import S3Proxy
from tests.support.s3_server import S3Server


@pytest.mark.parametrize("asked", ["dits-owner", "dits-store"])
async def test_a_far_store_that_answers_half(
    databases: Databases, settings: Settings, s3_server: S3Server, proxy: S3Proxy, asked: str
) -> None:
    (database,) = databases.every()
    url = s3_server.url(f"half-{asked[5:]}", endpoint=proxy.endpoint)
    both = settings.model_copy(update={"stores": {"far": (url,)}})
    known = await open_known_stores(database, both)
    for status, code in (("503 Slow Down", "SlowDown"), ("403 Forbidden", "AccessDenied")):
        proxy.answer(f"^GET [^?]*{asked}", status, code, times=1000)
        stores = await open_known_stores(database, both)
        assert stores["far"].expected_id == known["far"].expected_id
        # The own one must be whole.
        with pytest.raises(ConfigError, match="cannot be used"):
            await open_known_stores(
                database, settings.model_copy(update={"region": "far", "store": url})
            )
