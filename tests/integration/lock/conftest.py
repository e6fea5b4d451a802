"""What the tests of the lock service work with."""

from __future__ import annotations

import pytest

from tests.support.api import Api
from tests.support.locks import Studio


@pytest.fixture
async def studio(api: Api) -> Studio:
    """A repository with an administrator, two writers and a reader."""
    return await Studio.open(api)
