"""Frames and header bytes that no gRPC library sends."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Sequence

import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2 import LoginRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest
from grpc import StatusCode

from tests.fuzz.conftest import Target
from tests.fuzz.http2 import Connection, Headers, frame
from tests.support.rpcs import name_service

GET_ME = "/dits.auth.v1.AccountService/GetMe"
LOGIN = "/dits.auth.v1.SessionService/Login"
GET_REPOSITORY = "/dits.repo.v1.RepositoryService/GetRepository"
PUSH = "/dits.repo.v1.CommitService/Push"
REFUSED = StatusCode.UNAUTHENTICATED.value[0]
NOT_FATAL = {str(code.value[0]).encode() for code in StatusCode} - {
    str(code.value[0]).encode() for code in (StatusCode.UNKNOWN, StatusCode.INTERNAL)
}


def call(target: Target, path: str, body: bytes, headers: Headers = ()) -> dict[bytes, bytes]:
    with Connection(target.server.addresses[name_service(path)]) as connection:
        return connection.call(path, body, headers)


async def answer(target: Target, path: str, body: bytes, headers: Headers = ()) -> int:
    """The status of a call; fails if there is none."""
    end = await asyncio.to_thread(call, target, path, body, headers)
    return int(end[b"grpc-status"])


def bearer(token: str, before: str = "", after: bytes = b"") -> tuple[bytes, bytes]:
    return (b"authorization", f"Bearer {before}{token}".encode() + after)


async def test_a_user_agent_may_hold_anything(target: Target) -> None:
    body = frame(LoginRequest(login="nobody", password="wrong").SerializeToString())
    for agent in (b"a\0b", b"\xff\xfe", b"\x1b[2J", b"x" * 6000, "\u202e".encode()):
        assert await answer(target, LOGIN, body, [(b"user-agent", agent)]) == REFUSED


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", b"\xff"),
        ("", b"\xc2\xa0"),
        ("", "\u2003".encode()),
        ("\u00a0", b""),
        ("\u2003", b""),
        ("", b"\0"),
        ("", b"\t"),
        ("", b"\x0b"),
    ],
)
async def test_only_the_very_token_counts_and_no_log_tells_it(
    target: Target, before: str, after: bytes
) -> None:
    token = target.world.bob.token
    body = frame(GetMeRequest().SerializeToString())
    headers = [bearer(token, before, after), (b"x-other", b"\xff" + token.encode())]
    end = await asyncio.to_thread(call, target, GET_ME, body, headers)
    assert end.get(b"grpc-status", b"16") == b"16"
    assert await answer(target, GET_ME, body, [bearer(token), (b"x-other", b"\xff")]) == 0
    assert token not in target.server.log.read_text()


async def test_of_two_credentials_neither_counts(target: Target) -> None:
    headers = [bearer(target.world.ada.token), bearer(target.world.bob.token)]
    assert await answer(target, GET_ME, frame(b""), headers) == REFUSED


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-large", b"x" * 60_000)],
        [(b"x-%d" % i, b"x" * 100) for i in range(500)],
        [(b"x-same", b"x")] * 2_000,
    ],
    ids=["one", "many", "same"],
)
async def test_large_headers_end_one_call(target: Target, headers: Headers) -> None:
    repository = target.world.repository.id
    body = frame(GetRepositoryRequest(repository=repository).SerializeToString())
    who = bearer(target.world.ada.token)
    end = await asyncio.to_thread(call, target, GET_REPOSITORY, body, [who, *headers])
    assert end.get(b"grpc-status", b"8") in NOT_FATAL
    assert await answer(target, GET_REPOSITORY, body, [who]) == 0
    target.server.assert_unharmed()


BODY = GetMeRequest().SerializeToString() + b"\x7a\x05hello"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", []),
        (b"\0", []),
        (frame(BODY, length=2**32 - 1), []),
        (frame(BODY, length=100), []),
        (frame(BODY, length=1), []),
        (frame(BODY, compressed=True), []),
        (frame(gzip.compress(BODY, mtime=0), compressed=True), [(b"grpc-encoding", b"gzip")]),
        (
            frame(gzip.compress(bytes(1 << 24), mtime=0), compressed=True),
            [(b"grpc-encoding", b"gzip")],
        ),
        (frame(BODY, compressed=True), [(b"grpc-encoding", b"snappy")]),
        (frame(BODY) * 50, []),
        (b"\xff" * 100, []),
        (frame(BODY), [(b"grpc-timeout", b"1n")]),
        (frame(BODY), [(b"grpc-timeout", b"99999999999H")]),
        (frame(BODY), [(b"content-type", b"text/html")]),
    ],
)
async def test_bodies_that_are_no_messages(
    target: Target, body: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> None:
    who = bearer(target.world.ada.token)
    end = await asyncio.to_thread(call, target, GET_ME, body, [who, *headers])
    # gRPC itself answers broken framing, with INTERNAL by its specification, before the server is asked.
    assert end.get(b"grpc-status", b"13") in NOT_FATAL or b"x-request-id" not in end
    assert await answer(target, GET_ME, frame(b""), [who]) == 0
    target.server.assert_unharmed()


def flood_with_resets(address: str, token: str) -> None:
    """Begins calls and breaks them off, as fast as the connection takes them."""
    for _ in range(10):
        with Connection(address) as connection:
            for _ in range(300):
                stream = connection.begin(GET_ME, [bearer(token)])
                connection.reset(stream)


def flood_with_settings(address: str, token: str) -> None:
    """Sends settings and pings that all want an answer."""
    with Connection(address) as connection:
        for number in range(2_000):
            connection.h2.update_settings({4: 65_535 + number % 2})
            connection.h2.ping(number.to_bytes(8))
            try:
                connection.flush()
            except OSError:
                return


def flood_with_headers(address: str, token: str) -> None:
    """Sends a header block that never ends."""
    with Connection(address) as connection:
        # HEADERS of stream 1 without END_HEADERS, then CONTINUATION frames.
        connection.socket.sendall(b"\0\0\0\1\0\0\0\0\1")
        for _ in range(5_000):
            try:
                connection.socket.sendall(b"\0\0\x40\x09\0\0\0\0\1" + b"\x40\x01a\x3c" + b"b" * 60)
            except OSError:
                return


def open_and_close(address: str, token: str) -> None:
    """Opens connections on which nothing is said."""
    for _ in range(200):
        Connection(address).socket.close()


def send_byte_by_byte(address: str, token: str) -> None:
    """Sends a message so slowly that its time is over before its end."""
    with Connection(address) as connection:
        stream = connection.begin(GET_ME, [bearer(token)])
        body = frame(BODY)
        begun = time.monotonic()
        while time.monotonic() - begun < 6:
            connection.send(stream, body[:1], end=False)
            body = body[1:]
            time.sleep(1)
        assert connection.end_of(stream)[b"grpc-status"] == b"10"


@pytest.mark.parametrize(
    "attack",
    [flood_with_resets, flood_with_settings, flood_with_headers, open_and_close, send_byte_by_byte],
)
async def test_floods_disturb_nobody(target: Target, attack: object) -> None:
    world, server = target.world, target.server
    before = server.resident_bytes()
    assert callable(attack)
    await asyncio.to_thread(attack, server.addresses["auth"], world.ada.token)
    assert await answer(target, GET_ME, frame(b""), [bearer(world.ada.token)]) == 0
    server.assert_unharmed()
    await server.until_released(before)
