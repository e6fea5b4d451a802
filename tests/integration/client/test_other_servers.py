"""Servers of other versions lack RPCs, leave fields empty, or send values that the client does not know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from dits.common.v1.event_pb2 import EventType
from dits.repo.v1.merge_pb2 import MergeBranchesResponse

from dits_client.checkout.get_file import find_file
from dits_client.checkout.merge import MergeOptions
from dits_client.cli.merge import describe_outcome
from dits_client.cli.table import name_value
from dits_client.errors import ClientError
from dits_client.server.locks import LockOptions, acquire_locks
from dits_client.server.repository import RepositoryClient
from tests.support.api import Api
from tests.support.client import Person, write


class _Emptiness(grpc.GenericRpcHandler):
    """Answers every call with a message without fields."""

    def service(self, _: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")


@contextmanager
def serve(*, is_empty: bool) -> Iterator[str]:
    """Yields the address of a server that gives empty answers, or has no RPC at all."""
    server = grpc.server(ThreadPoolExecutor(2))
    if is_empty:
        server.add_generic_rpc_handlers([_Emptiness()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


async def test_a_server_without_an_rpc_is_said_to_be_older(
    api: Api, ada: Person, film: str
) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    with serve(is_empty=False) as address:
        with (
            Person(api, ada.account, ada.home, repo=address) as person,
            pytest.raises(ClientError, match=r"the repo service of .* it may be older than"),
        ):
            await person.pull("one")
        with Person(api, ada.account, ada.home, lock=address) as person:
            # Without required locks, the lock service is not needed.
            write(ada.home / "one", {"a": b"2"})
            assert (await person.push("one")).pushed


async def test_empty_answers_are_no_answers(api: Api, ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    with (
        serve(is_empty=True) as address,
        Person(api, ada.account, ada.home, lock=address, repo=address) as person,
    ):
        remote = RepositoryClient(person.client, film)
        taking = asyncio.to_thread(list, acquire_locks(remote, ["a"], LockOptions()))
        with pytest.raises(ClientError, match="another number of paths"):
            await taking
        with pytest.raises(ClientError, match="did not answer for the path"):
            await asyncio.to_thread(find_file, remote, "a", "main")
        with pytest.raises(ClientError, match="no branch"):
            await person.pull("one")
    assert (ada.home / "one/a").read_bytes() == b"1"


def test_values_that_only_newer_servers_know_have_numbers() -> None:
    assert name_value(EventType, 9999, "EVENT_TYPE_") == "9999"
    assert (
        name_value(EventType, EventType.EVENT_TYPE_LOCK_ACQUIRED, "EVENT_TYPE_") == "lock_acquired"
    )
    response = MergeBranchesResponse()
    response.outcome = 99  # type: ignore[assignment]
    with pytest.raises(ClientError, match="an outcome, 99, that only newer dits knows"):
        describe_outcome(MergeOptions("side", "main"), response)
