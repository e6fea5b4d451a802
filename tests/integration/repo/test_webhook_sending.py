"""Requests to receivers, which are real: where connections go to, and what is taken of the answers."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.repo.webhooks.addresses import AllowedNetworks
from services.repo.webhooks.reading import MAX_BODY_PARTS
from services.repo.webhooks.resolver import SystemResolver
from services.repo.webhooks.sender import Answer, Sender
from services.repo.webhooks.urls import parse_url
from tests.support import receivers
from tests.support.authority import Authority
from tests.support.receivers import Behaviour, HttpReceiver, answer

SECONDS, HURRIED_SECONDS = 20.0, 0.6
OWN = AllowedNetworks(["127.0.0.1"])
HEADERS = {"X-Dits-Event": "push"}


class Names:
    """A resolver with answers for each question."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not found:
            raise OSError("no such name")
        return found


async def send(
    url: str,
    names: Names | None = None,
    *,
    allowed: AllowedNetworks = OWN,
    ca: Path | None = None,
    seconds: float = SECONDS,
) -> Answer:
    sender = Sender(allowed, (names or Names([])).resolve, ca_file=ca, seconds=seconds)
    async with sender.connect(parse_url(url, allowed)) as connection:
        # In a task of its own, so that the watchdog counts its steps.
        return await asyncio.create_task(connection.send(HEADERS, b'{"a": 1}'))


async def test_a_request_and_its_answer() -> None:
    body = b"thanks\0 \xff\xf0"
    async with HttpReceiver(answer(201, body, "X-Y: 1\r\nX-Y: \xe92\r\n")) as receiver:
        told = await send(receiver.url)
        [request] = receiver.requests
    assert (told.error, told.status, told.body) == (None, 201, body)
    assert ("x-y", "1") in told.headers
    assert (request.target, request.body) == ("/hook?x=1", b'{"a": 1}')
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["x-dits-event"] == "push"
    assert not {"cookie", "authorization", "accept", "user-agent"} & set(request.headers)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with HttpReceiver() as secret:
        location = f"Location: {secret.url}\r\n"
        async with HttpReceiver(answer(status, b"", location)) as receiver:
            told = await send(receiver.url)
        assert secret.connections == 0
    assert told.error == f"The receiver answered {status}; redirects are not followed."
    assert ("location", secret.url) in told.headers


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503, 599])
async def test_errors_are_failures(status: int) -> None:
    async with HttpReceiver(answer(status, b"no")) as receiver:
        told = await send(receiver.url)
    error = f"The receiver answered {status}."
    assert (told.error, told.status, told.body) == (error, status, b"no")


BOMB = gzip.compress(bytes(100 << 20))


@pytest.mark.parametrize(
    ("behaviour", "error", "status"),
    [
        (receivers.hang, "No answer came within 0.6 seconds.", 0),
        (receivers.drip_head, "No answer came within 0.6 seconds.", 0),
        (receivers.drip, "The answer did not end within 0.6 seconds.", 200),
        (receivers.pour, None, 200),
        (receivers.pour_head, "The connection broke: ", 0),
        (receivers.pour_early_answers, "The connection broke: the answer is too long.", 0),
        (receivers.close, "The connection broke: ", 0),
        (receivers.talk_nonsense, "The connection broke: ", 0),
        (answer(200, BOMB, "Content-Encoding: gzip\r\n"), None, 200),
        (answer(200, b"x" * 70_000), None, 200),
        (answer(200, b"", "".join(f"X-{i}: {'y' * 900}\r\n" for i in range(100))), None, 200),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_receivers_that_behave_badly(
    behaviour: Behaviour, error: str | None, status: int
) -> None:
    late = "seconds" in (error or "")
    tracemalloc.start()
    async with HttpReceiver(behaviour) as receiver:
        told = await send(receiver.url, seconds=HURRIED_SECONDS if late else SECONDS)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told.status == status
    assert (told.error or "").startswith(error or "")
    assert (told.error is None) == (error is None) == told.is_complete
    assert told.duration_ms < SECONDS * 1000
    assert len(told.body) <= 65536
    assert sum(len(name) + len(value) for name, value in told.headers) <= 16384
    assert most < 30_000_000


async def test_of_tiny_chunks_only_some_are_read() -> None:
    async with HttpReceiver(receivers.pour_tiny_chunks) as receiver:
        told = await send(receiver.url)
    assert (told.error, told.status, told.body) == (None, 200, b"x" * MAX_BODY_PARTS)


async def test_nobody_listens() -> None:
    async with HttpReceiver() as receiver:
        url = receiver.url
    told = await send(url)
    assert (told.error, told.status) == ("No connection could be made.", 0)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.2"],
        ["10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["169.254.169.254"],
        ["fe80::1"],
        # One bad address spoils all.
        ["127.0.0.1", "10.0.0.1"],
        ["8.8.8.8", "127.0.0.2"],
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_names_with_addresses_that_are_not_allowed(addresses: list[str], scheme: str) -> None:
    async with HttpReceiver() as receiver:
        told = await send(f"{scheme}://ci.example:{receiver.port}/", Names(addresses))
        assert receiver.connections == 0
    assert told.error is not None
    assert told.error.startswith("An address of the host is not ")


async def test_plain_http_goes_only_where_it_is_allowed() -> None:
    told = await send("http://ci.example/", Names(["8.8.8.8"]))
    assert told.error == "An address of the host is not one that http is allowed for."


async def test_a_name_without_an_address() -> None:
    told = await send("https://ci.example/", Names([]))
    assert told.error == "The name of the host has no address."


async def test_a_name_server_that_hangs() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    sender = Sender(OWN, resolve, seconds=HURRIED_SECONDS)
    async with sender.connect(parse_url("https://ci.example/", OWN)) as connection:
        told = await connection.send({}, b"")
    assert told.error == "No answer came within 0.6 seconds."


async def test_the_resolver_of_the_system() -> None:
    resolver = SystemResolver()
    assert "127.0.0.1" in await resolver.resolve_host("localhost", 443)
    assert await resolver.resolve_host("127.0.0.1", 443) == ["127.0.0.1"]
    with pytest.raises(OSError, match="known"):
        await resolver.resolve_host("a" * 64, 443)


async def test_a_name_that_changes_its_address() -> None:
    """What is checked is what is connected to: each attempt asks once."""
    names = Names(["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"])
    sender = Sender(OWN, names.resolve, seconds=SECONDS)
    async with HttpReceiver() as receiver:
        url = parse_url(f"http://ci.example:{receiver.port}/", OWN)
        async with sender.connect(url) as connection:
            told = [(await connection.send({}, b"")).error for _ in range(3)]
        assert [request.headers["host"] for request in receiver.requests] == [url.authority] * 2
    assert told == [None, "An address of the host is not one that http is allowed for.", None]
    assert names.asked == ["ci.example"] * 3


async def test_tls_is_judged_by_the_name(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    names = Names(["127.0.0.1"])
    async with HttpReceiver(tls=authority.certify("ci.example")) as receiver:
        for host, ca, error in (
            ("ci.example", authority.file, None),
            ("cd.example", authority.file, "The certificate is not valid: Hostname mismatch"),
            ("ci.example", None, "The certificate is not valid: "),
        ):
            told = await send(f"https://{host}:{receiver.port}/", names, ca=ca)
            assert (told.error or "").startswith(error or ""), told.error
            assert (told.error is None) == (error is None)
        assert [request.headers["host"] for request in receiver.requests] == [
            f"ci.example:{receiver.port}"
        ]
        told = await send(f"https://127.0.0.1:{receiver.port}/", ca=authority.file)
        assert (told.error or "").startswith("The certificate is not valid: IP address mismatch")
    async with HttpReceiver() as receiver:
        told = await send(f"https://ci.example:{receiver.port}/", names, ca=authority.file)
    assert told.status == 0
    assert told.error is not None


async def test_the_next_address_is_tried() -> None:
    async with HttpReceiver() as receiver:
        allowed = AllowedNetworks(["127.0.0.0/8"])
        names = Names(["127.0.0.9", "127.0.0.1"])
        told = await send(f"http://ci.example:{receiver.port}/", names, allowed=allowed)
    assert told.error is None


async def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with HttpReceiver() as proxy, HttpReceiver() as receiver:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert ((await send(receiver.url)).error, proxy.connections) == (None, 0)


async def test_cookies_are_not_kept_and_connections_are() -> None:
    sender = Sender(OWN, Names([]).resolve)
    async with HttpReceiver(answer(200, b"ok", "Set-Cookie: a=b\r\n")) as receiver:
        async with sender.connect(parse_url(receiver.url, OWN)) as connection:
            for _ in range(3):
                assert (await connection.send({}, b"")).error is None
        assert receiver.connections == 1
        assert not any("cookie" in request.headers for request in receiver.requests)
