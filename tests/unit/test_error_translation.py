"""What exceptions that are no errors of the domain mean to callers."""

from __future__ import annotations

import errno

import asyncpg
import pytest
from grpc import StatusCode

from shared.db.pool import UNREACHABLE
from shared.rpc.boundary import translate
from shared.runtime.background import PASSING


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncpg.QueryCanceledError("a statement took too long"), StatusCode.UNAVAILABLE),
        (asyncpg.InterfaceError("the connection is closed"), StatusCode.UNAVAILABLE),
        (asyncpg.InternalClientError("another operation is in progress"), StatusCode.UNAVAILABLE),
        (asyncpg.ReadOnlySQLTransactionError("a standby"), StatusCode.UNAVAILABLE),
        (asyncpg.OutOfMemoryError("out of shared memory"), StatusCode.UNAVAILABLE),
        (TimeoutError(), StatusCode.UNAVAILABLE),
        (asyncpg.DiskFullError("full"), StatusCode.RESOURCE_EXHAUSTED),
        (OSError(errno.ENOSPC, "full"), StatusCode.RESOURCE_EXHAUSTED),
        (asyncpg.DataError("a wrong argument"), StatusCode.INTERNAL),
        (KeyError("x"), StatusCode.INTERNAL),
    ],
)
def test_the_status_of_an_exception(error: Exception, code: StatusCode) -> None:
    assert translate(error).code is code


def test_a_database_that_is_away_is_no_defect_of_background_work() -> None:
    assert all(issubclass(error, PASSING) for error in UNREACHABLE)
