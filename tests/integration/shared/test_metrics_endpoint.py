"""`GET /metrics`, and what it says after calls."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest, GetMeResponse
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest
from prometheus_client.parser import text_string_to_metric_families

from shared.runtime.config import Settings
from shared.runtime.metrics import REGISTRY
from shared.runtime.metrics_endpoint import metrics_endpoint
from shared.runtime.process import StartError
from tests.support.api import Api
from tests.support.waiting import PATIENCE_SECONDS

GET_ME = "dits.auth.v1.AccountService/GetMe"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def port(settings: Settings) -> AsyncIterator[int]:
    async with metrics_endpoint(settings.model_copy(update={"metrics_port": 0})) as port:
        assert port is not None
        yield port


async def scrape(port: int) -> str:
    def get() -> str:
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
            return str(response.read().decode())

    return await asyncio.to_thread(get)


async def samples(port: int) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(await scrape(port))
        for sample in family.samples
    }


def growth(before: Samples, after: Samples, name: str, **labels: str) -> float:
    key = (name, frozenset(labels.items()))
    return after.get(key, 0.0) - before.get(key, 0.0)


async def test_calls_are_counted_by_method_code_and_reason(api: Api, port: int) -> None:
    ada = await api.account()
    before = await samples(port)
    me: GetMeResponse = await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
    with pytest.raises(grpc.aio.AioRpcError):
        await api.accounts.GetMe(GetMeRequest())
    after = await samples(port)
    labels = {"service": "auth", "method": GET_ME}
    assert growth(before, after, "dits_rpcs_total", **labels, code="OK") == 1
    assert growth(before, after, "dits_rpcs_total", **labels, code="UNAUTHENTICATED") == 1
    reason = {"service": "auth", "reason": "UNAUTHENTICATED"}
    assert growth(before, after, "dits_rpc_errors_total", **reason) == 1
    assert growth(before, after, "dits_rpc_seconds_count", **labels) == 2
    assert growth(before, after, "dits_rpc_sent_bytes_total", **labels) == me.ByteSize()


async def test_methods_that_do_not_exist_are_one_label(api: Api, port: int) -> None:
    channel: Any = api.channels["auth"]
    before = await samples(port)
    paths = ["/dits.auth.v1.AccountService/Nothing", "/nobody.Service/X", "/a/b", "/"]
    for path in paths:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(path)(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    after = await samples(port)
    labels = {"service": "auth", "method": "unknown", "code": "UNIMPLEMENTED"}
    assert growth(before, after, "dits_rpcs_total", **labels) == len(paths)
    methods = {dict(labels).get("method", "") for _, labels in after}
    assert not methods & {path.removeprefix("/") for path in paths[:3]}


async def test_metrics_name_nobody_and_nothing(api: Api, port: int) -> None:
    ada = await api.account("ada-of-the-metrics")
    repository = await api.repository(ada, "film-of-the-metrics")
    for name in (repository.id, "ada-of-the-metrics/film-of-the-metrics", "nobody/nothing-at-all"):
        try:
            request = GetRepositoryRequest(repository=name)
            await api.repositories.GetRepository(request, metadata=ada.auth)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND
    text = await scrape(port)
    values = set(re.findall(r'"([^"]*)"', text))
    secrets = (
        ada.token,
        ada.username,
        str(ada.id),
        repository.id,
        repository.name,
        "nothing",
        api.dsn,
    )
    assert [value for value in values for secret in secrets if secret in value] == []


async def test_pools_slots_budgets_and_checks_are_shown(api: Api, port: int) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    before = await samples(port)
    for _ in range(2):
        request = GetRepositoryRequest(repository=repository.id)
        await api.repositories.GetRepository(request, metadata=ada.auth)
    after = await samples(port)
    assert growth({}, after, "dits_pool_limit", service="repo") == 5
    assert growth({}, after, "dits_pool_connections", service="repo", state="idle") >= 1
    assert growth({}, after, "dits_pool_waiting", service="repo") == 0
    assert growth({}, after, "dits_slots_limit", service="repo", group="accounts") == 1000
    assert growth({}, after, "dits_slots_taken", service="repo", group="accounts") == 0
    assert growth({}, after, "dits_budget_limit_bytes", budget="pushes") == 1 << 30
    assert growth({}, after, "dits_budget_limit_bytes", budget="chunks") == 1 << 30
    assert growth(before, after, "dits_access_cache_lookups_total", outcome="hit") >= 1
    assert growth({}, after, "process_resident_memory_bytes") > 0


async def test_it_is_off_unless_a_port_is_given(settings: Settings) -> None:
    async with metrics_endpoint(settings) as port:
        assert port is None


async def test_a_taken_port_is_one_sentence(port: int, settings: Settings) -> None:
    with pytest.raises(StartError, match=f"cannot be served on 127.0.0.1:{port}: another program"):
        async with metrics_endpoint(settings.model_copy(update={"metrics_port": port})):
            pass


async def test_a_loop_that_was_held_up_shows_lag(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.runtime.metrics_endpoint._PAUSE_SECONDS", 0.001)

    def late() -> float:
        count = REGISTRY.get_sample_value("dits_loop_lag_seconds_count") or 0
        return count - (
            REGISTRY.get_sample_value("dits_loop_lag_seconds_bucket", {"le": "0.025"}) or 0
        )

    before = late()
    async with metrics_endpoint(settings.model_copy(update={"metrics_port": 0})):
        await asyncio.sleep(0)
        time.sleep(0.06)  # noqa: ASYNC251  it holds the loop up
        for _ in range(5_000):
            if late() > before:
                return
            await asyncio.sleep(0.001)
    pytest.fail("no lag was measured")
