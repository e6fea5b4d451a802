"""An S3 server that does not always answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.s3_proxy import S3Proxy
from tests.support.s3_server import S3Server


@pytest.fixture
async def proxy(s3_server: S3Server) -> AsyncIterator[S3Proxy]:
    proxy = S3Proxy()
    await proxy.start(s3_server.endpoint)
    yield proxy
    await proxy.stop()
