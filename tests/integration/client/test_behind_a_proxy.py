"""The client and a real nginx that ends TLS in front of the services, set up as docs/operating.md says."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import pytest

from shared.runtime.config import SERVICES, Settings
from shared.runtime.setting_types import CellAddresses
from tests.support.api import Api
from tests.support.authority import Authority
from tests.support.client import Proxy, Run, read_files, write
from tests.support.waiting import PATIENCE_SECONDS

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
DOCS = Path(__file__).parents[3] / "docs" / "operating.md"
# Where nginx is: a name may lead to IPv6 as well, and gRPC tells of the address that failed last.
HOST = "127.0.0.1"
Nginx: TypeAlias = Callable[..., AbstractAsyncContextManager[None]]
Make: TypeAlias = Callable[[], Awaitable[None]]
# Around the settings of the docs: all files lie in the folder of the test.
_AROUND = """\
daemon off; pid nginx.pid; error_log error.log; events {{}}
http {{
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
{}
}}
"""
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture
def ports() -> dict[str, int]:
    """A free port for each service, where nginx will listen."""
    with ExitStack() as stack:
        held = {name: stack.enter_context(socket.socket()) for name in SERVICES}
        for each in held.values():
            each.bind((HOST, 0))
        return {name: int(each.getsockname()[1]) for name, each in held.items()}


@pytest.fixture
def settings(settings: Settings, ports: dict[str, int]) -> Settings:
    """Auth tells clients where nginx is."""
    addresses = {name: f"127.0.0.1:{ports[name]}" for name in ("repo", "chunk", "lock")}
    return settings.model_copy(update={"cells": {0: CellAddresses(**addresses)}})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who vouches for the proxy."""
    return Authority.make(tmp_path)


@pytest.fixture
def certificate(authority: Authority) -> Path:
    """What nginx shows, with its key."""
    authority.certify(HOST)
    return authority.file.with_name(f"{HOST}.pem")


@pytest.fixture
def trusted(server: str, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address, for people whose machine trusts the authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return server


@pytest.fixture
def film_of_ada(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a repository and a folder with one file that is to be pushed, for who is logged in as ada."""

    async def make() -> None:
        await run("repo", "create", "film", "--no-require-lock")
        write(home / "work", {"a.mov": random.Random(1).randbytes(3 << 20)})
        monkeypatch.chdir(home / "work")
        await run("init", "--repository", "film")

    return make


def register(server: str) -> tuple[str, ...]:
    return ("login", server, "--register", "-u", "ada", "--email", "ada@example.org")


def configure(
    api: Api, ports: dict[str, int], certificate: Path, *, without: str = "", **elsewhere: str
) -> str:
    """The settings in the docs, of these ports and this certificate; some services may be elsewhere."""
    found = re.search(r"```nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    text = found[1].replace("/etc/ssl/dits.pem", str(certificate))
    for number, name in enumerate(SERVICES, 50051):
        text, counts = re.subn(rf"127\.0\.0\.1:{number}\b", (api.addresses | elsewhere)[name], text)
        assert counts == 1
        text, counts = re.subn(rf"listen \S+:{number}\b", f"listen 127.0.0.1:{ports[name]}", text)
        assert counts == 1
        text = re.sub(rf"\b{number}\b", str(ports[name]), text)
    assert without in text
    text = text.replace(without, "") if without else text
    return _AROUND.format(text)


async def wait_for_port(port: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running_nginx(folder: Path, configuration: str, port: int) -> AsyncIterator[None]:
    """Runs nginx until the block ends."""
    process = start_nginx(folder, configuration)
    try:
        await wait_for_port(port)
        yield
    finally:
        process.terminate()
        process.wait()


def start_nginx(folder: Path, configuration: str) -> subprocess.Popen[bytes]:
    folder.mkdir()
    (folder / "nginx.conf").write_text(configuration)
    assert NGINX is not None
    return subprocess.Popen([NGINX, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"])


@pytest.fixture
def nginx(api: Api, home: Path, ports: dict[str, int], certificate: Path) -> Nginx:
    """Runs nginx with the settings in the docs, `without` one of them; some services may be elsewhere."""

    def run(without: str = "", **elsewhere: str) -> AbstractAsyncContextManager[None]:
        configuration = configure(api, ports, certificate, without=without, **elsewhere)
        return running_nginx(home.parent / "nginx", configuration, ports["auth"])

    return run


@pytest.fixture
def server(home: Path, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address that people are told; where the other services are, only the server says."""
    for name in SERVICES:
        monkeypatch.delenv(f"DITS_{name.upper()}")
    for name in ("SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
        monkeypatch.delenv(name, raising=False)
    return f"https://127.0.0.1:{ports['auth']}"


async def test_all_work_goes_through_it(
    api: Api,
    server: str,
    run: Run,
    home: Path,
    authority: Authority,
    nginx: Nginx,
    film_of_ada: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with nginx():
        told = await run(*register(server), fails=1)
        assert "vouches for the certificate" in told
        assert "SSL_CERT_FILE=FILE" in told
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        await run(*register(server))
        await film_of_ada()
        await run("push", "-m", "first")
        await run("lock", "a.mov")
        await run("clone", "ada/film", str(home / "again"))
        assert read_files(home / "again") == read_files(home / "work")
        assert "wrong" not in await run("doctor")
        assert "ada/film" in await run("repo", "list")
        await run("jobs")
        [row] = await api.fetch("SELECT host(ip_address) AS address FROM sessions")
        assert row["address"] == HOST


async def test_what_it_refuses_is_said(
    api: Api,
    trusted: str,
    run: Run,
    nginx: Nginx,
    film_of_ada: Make,
) -> None:
    async with nginx(without="client_max_body_size 0;"):
        await run(*register(trusted))
        await film_of_ada()
        told = await run("push", "-m", "first", fails=1)
        assert "HTTP status 413: it limits how much may be sent" in told
        await api.suite.stop()
        assert "answered with HTTP status 502" in await run("whoami", fails=1)
    assert "cannot be reached" in await run("whoami", fails=1)


async def test_a_service_that_ends_within_a_download_is_asked_again(
    api: Api,
    trusted: str,
    run: Run,
    home: Path,
    nginx: Nginx,
    film_of_ada: Make,
) -> None:
    with Proxy(api.addresses["chunk"]) as link:
        async with nginx(chunk=link.address):
            await run(*register(trusted))
            await film_of_ada()
            await run("push", "-m", "first")
            link.budgets.append(1 << 20)
            await run("clone", "ada/film", str(home / "again"))
            assert link.breaks == 1
            assert read_files(home / "again") == read_files(home / "work")


async def test_a_wrong_scheme_or_name_is_said(
    api: Api,
    trusted: str,
    run: Run,
    home: Path,
    ports: dict[str, int],
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority.certify("dits.example")
    configuration = configure(api, ports, authority.file.with_name("dits.example.pem"))
    async with running_nginx(home.parent / "nginx", configuration, ports["auth"]):
        told = await run("login", f"http://127.0.0.1:{ports['auth']}", "-u", "ada", fails=1)
        assert "begin its address with https://" in told
        assert "is for another name" in await run("login", trusted, "-u", "ada", fails=1)
    monkeypatch.setenv("SSL_CERT_FILE", str(home / "none"))
    assert 'SSL_CERT_FILE: cannot read "' in await run("login", trusted, "-u", "ada", fails=2)


async def test_an_address_without_tls_is_said_to_be_one(api: Api, server: str, run: Run) -> None:
    told = await run("login", f"https://{api.addresses['auth']}", "-u", "ada", fails=1)
    assert "speaks no TLS: begin its address with http://" in told
