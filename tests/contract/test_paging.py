"""Pages end before a message is full, whatever the list and however large its rows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dits.common.v1.job_service_pb2 import ListJobsRequest
from dits.repo.v1.manifest_pb2 import Entry, Symlink

from shared.rpc.call import Call
from shared.rpc.paging import MAX_SIZE, PAGE_BYTES, Page, measure_row
from shared.runtime.server_key import ServerKey
from tests.support.rpcs import Rpc, messages, rpcs

ROOT = Path(__file__).parents[2]
METHOD = "/dits.common.v1.JobService/ListJobs"
# They stop reading when a page is full: services/repo/history/commit_log.py, services/repo/trees/assets.py;
# 1,000 paths have 1 MiB.
OWN_BUDGET = {
    "/dits.repo.v1.CommitService/ListCommits",
    "/dits.repo.v1.TreeService/FindAsset",
    "/dits.repo.v1.TreeService/ListAssets",
}


def find_handlers() -> Iterator[tuple[str, ast.AST]]:
    """Yields service and method of each handler, and its code."""
    for path in [*ROOT.glob("services/*/rpc/*.py"), ROOT / "shared/jobs/job_service.py"]:
        for node in ast.parse(path.read_text()).body:
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.AsyncFunctionDef) and isinstance(node, ast.ClassDef):
                    yield f"{node.name}/{inner.name}", inner


HANDLERS = dict(find_handlers())
MESSAGES = messages()
PAGED = [
    rpc
    for rpc in rpcs()
    if "next_page_token" in {field.name for field in MESSAGES[rpc.method.output_type].field}
]


@pytest.mark.parametrize("rpc", PAGED, ids=lambda rpc: rpc.path)
def test_every_list_is_bounded_in_bytes(rpc: Rpc) -> None:
    called = [
        node.func.attr
        for node in ast.walk(HANDLERS[rpc.path.rpartition(".")[2]])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert ("answer" in called) != (rpc.path in OWN_BUDGET)


@pytest.mark.parametrize(
    ("row", "least"),
    [
        ({"text": "a" * 5_000, "other": None}, 5_000),
        ({"text": "é" * 5_000}, 10_000),
        ({"bytes": b"\0" * 5_000}, 5_000),
        ({"list": ["a" * 500] * 10, "number": 7}, 5_000),
        (Entry(name="a" * 5_000, symlink=Symlink(target="b" * 5_000)), 10_000),
    ],
)
def test_a_page_holds_as_many_rows_as_fit(row: Any, least: int) -> None:
    assert least < measure_row(row) < least + 500
    request = ListJobsRequest(page_size=MAX_SIZE)
    page = Page(ServerKey(bytes(32)), request, Call(METHOD, "id"))
    rows, token = page.answer([row] * MAX_SIZE, lambda _: ("x",))
    assert len(rows) == min(MAX_SIZE, PAGE_BYTES // measure_row(row))
    assert token
    rows, token = page.answer([row] * 5, lambda _: ("x",))
    assert (len(rows), token) == (5, "")


def test_a_page_has_one_row_at_least() -> None:
    page = Page(ServerKey(bytes(32)), ListJobsRequest(), Call(METHOD, "id"))
    row: Any = {"text": "a" * (PAGE_BYTES + 1)}
    rows, token = page.answer([row, row], lambda _: ("x",))
    assert (len(rows), bool(token)) == (1, True)
