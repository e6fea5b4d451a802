"""One name per thing: proto, module, SQL and tests of a gRPC service share it; an RPC is one method."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from shared.db.sql import Queries

ROOT = Path(__file__).parents[2]
PROTOS = sorted(ROOT.glob("protos/dits/*/v1/*_service.proto"))
SQL_FILES = sorted(path for top in ("services", "shared") for path in (ROOT / top).rglob("*.sql"))
MOST_NUMBERED = 4

_RPC = re.compile(r"^  rpc (\w+)\(", re.MULTILINE)
_METHOD = re.compile(r"^ *(?:async )?def ([A-Z]\w*)\(", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\d+)")


def describe(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("proto", PROTOS, ids=describe)
def test_a_service_has_one_base_name(proto: Path) -> None:
    service, name = proto.parts[-3], proto.stem
    rpc, tests = ROOT / "services" / service / "rpc", service
    if service == "common":
        # What every service serves.
        rpc, tests = ROOT / "shared" / f"{name.removesuffix('_service')}s", "shared"
    assert (rpc / f"{name}.py").is_file() or (rpc / name).is_dir()
    assert list((ROOT / "tests" / "integration" / tests).glob(f"test_{name}*.py"))


@pytest.mark.parametrize("service", ["auth", "repo", "chunk", "lock"])
def test_nothing_else_is_called_a_service(service: str) -> None:
    protos = {proto.stem for proto in PROTOS if proto.parts[-3] == service}
    rpc = ROOT / "services" / service / "rpc"
    named = {path.stem for path in rpc.iterdir() if path.stem.endswith("_service")}
    assert named == protos


@pytest.mark.parametrize("path", SQL_FILES, ids=describe)
def test_a_sql_file_has_its_module(path: Path) -> None:
    assert "sql.load(__file__)" in path.with_suffix(".py").read_text()


def test_an_rpc_is_defined_once() -> None:
    rpcs = [name for proto in PROTOS for name in _RPC.findall(proto.read_text())]
    folders = (ROOT / "services", ROOT / "shared/jobs")
    modules = [path for folder in folders for path in folder.rglob("*.py")]
    defined = Counter(name for path in modules for name in _METHOD.findall(path.read_text()))
    assert rpcs
    assert {name: defined[name] for name in rpcs} == Counter(rpcs)


@pytest.mark.parametrize("path", SQL_FILES, ids=describe)
def test_many_parameters_have_names(path: Path) -> None:
    for name, statement in Queries(path).statements.items():
        numbers = [int(number) for number in _PARAMETER.findall(statement.text)]
        assert statement.parameters or max(numbers, default=0) <= MOST_NUMBERED, name
