"""The example in the docstring of the package works as it stands."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path

import pytest

import dits_client
from dits_client.errors import ClientError
from dits_client.server.endpoints import Endpoints
from tests.support.api import Api
from tests.support.client import read, write


def example() -> str:
    """The indented lines of the docstring."""
    lines = (dits_client.__doc__ or "").splitlines()
    return textwrap.dedent("\n".join(line for line in lines if line.startswith("    ") or not line))


async def test_the_example_of_the_package(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.account("ada")
    await api.repository(ada, "film")
    at = api.addresses
    endpoints = Endpoints(at["auth"], at["repo"], at["chunk"], at["lock"])
    monkeypatch.setattr(Endpoints, "parse", lambda _: endpoints)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "film", {"a": b"1"})
    code = compile(example(), "dits_client", "exec")
    names = {"Path": Path, "token": ada.token}
    await asyncio.to_thread(exec, code, names)
    assert read(tmp_path / "copy") == read(tmp_path / "film")
    # The copy is there already.
    with pytest.raises(ClientError, match="is not empty"):
        await asyncio.to_thread(exec, code, names)
