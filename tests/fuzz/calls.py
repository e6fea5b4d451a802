"""Calls of every RPC with drawn requests, bodies and metadata; what comes back is judged."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode

from tests.fuzz.values import Values
from tests.fuzz.world import World
from tests.support.api import Api, Metadata, read_error
from tests.support.rpcs import Rpc, name_service, rpcs

FORBIDDEN = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS}
# They come from the client's end or from gRPC itself, and have no details.
_WITHOUT_DETAILS = {StatusCode.CANCELLED, StatusCode.DEADLINE_EXCEEDED, StatusCode.UNIMPLEMENTED}
_CALL_SECONDS = 30.0
_READ_SECONDS = 0.3
_MOST_MESSAGES = 5
_WILDNESS = [0.0, 0.0, 0.03, 0.1, 0.3, 0.8]
_WORKERS = 8
# Hashing a password takes a tenth of a second of processor time, as it should; others end sessions.
_RARE = ("Login", "Register", "Logout")
# They may end the credential that the next calls would come with.
_ENDING = ("Logout", "RevokeToken")
_PARTS = ["header", "manifests", "commits", "refs"]


@dataclass(slots=True)
class Fuzzer:
    """Makes calls that hardly anybody means.

    Attributes:
        outcomes: how often each RPC ended how.
        failures: what must not happen, in words.
    """

    api: Api
    world: World
    seed: int
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _rpcs: list[Rpc] = field(default_factory=list)

    def __post_init__(self) -> None:
        for rpc in rpcs():
            self._rpcs += [rpc] * (1 if rpc.method.name in _RARE else 12)

    async def run(self, first: int, count: int) -> None:
        """Makes the calls with these numbers; each number is the same call in every run."""
        numbers = iter(range(first, first + count))
        await asyncio.gather(*(self._work(numbers) for _ in range(_WORKERS)))

    async def _work(self, numbers: Any) -> None:
        for number in numbers:
            await self._call(number)

    async def _call(self, number: int) -> None:
        rng = random.Random(f"{self.seed}/{number}")
        rpc = rng.choice(self._rpcs)
        values = Values(rng, self.world.known, rng.choice(_WILDNESS))
        bodies = draw_bodies(rpc, values)
        try:
            await self._send(rpc, bodies, rng)
        except grpc.aio.AioRpcError as error:
            self._judge(number, rpc, error)
        except (asyncio.CancelledError, TimeoutError):
            self.outcomes[rpc.path, "broken off"] += 1
        else:
            self.outcomes[rpc.path, "OK"] += 1
            if rpc.method.name in _ENDING:
                await self.world.renew_credentials(self.api)

    async def _send(self, rpc: Rpc, bodies: list[bytes], rng: random.Random) -> None:
        method = rpc.method
        channel: Any = self.api.channels[name_service(rpc.path)]
        kind = (
            f"{'stream' if method.client_streaming else 'unary'}_"
            f"{'stream' if method.server_streaming else 'unary'}"
        )
        call = getattr(channel, kind)(rpc.path)(
            _slowly(bodies, rng) if method.client_streaming else bodies[0],
            metadata=self._metadata(rng),
            timeout=_CALL_SECONDS if rng.random() < 0.97 else rng.random() / 50,
            compression=grpc.Compression.Gzip if rng.random() < 0.03 else None,
        )
        response_type = GetMessageClass(
            Default().FindMessageTypeByName(method.output_type.removeprefix("."))
        )
        if rng.random() < 0.03:
            await asyncio.sleep(rng.random() / 50)
            call.cancel()
        if not method.server_streaming:
            self.world.known.harvest(response_type.FromString(await call))
            return
        try:
            for _ in range(_MOST_MESSAGES):
                async with asyncio.timeout(_READ_SECONDS):
                    data = await call.read()
                if data is grpc.aio.EOF:
                    await call.code()
                    return
                self.world.known.harvest(response_type.FromString(data))
        except TimeoutError:
            pass
        finally:
            call.cancel()

    def _metadata(self, rng: random.Random) -> Metadata:
        world = self.world
        token = rng.choice([world.ada] * 12 + [world.bob] * 3 + [world.reader]).token
        credentials = [f"Bearer {token}"] * 40
        credentials += ["", "Bearer", f"Basic {token}", f"bearer  {token}", f"Bearer {token[:-1]}x"]
        pairs: list[tuple[str, Any]] = [("authorization", rng.choice(credentials))]
        if rng.random() < 0.05:
            pairs.pop()
        if rng.random() < 0.03:
            pairs *= 2
        if rng.random() < 0.2:
            pairs.append(
                rng.choice(
                    [
                        ("x-request-id", rng.choice(["a" * 200, "../..", "%0a", "ok-1", ""])),
                        ("x-forwarded-for", rng.choice(["1.2.3.4", "::1%0", ",,,", "x" * 500])),
                        ("grpc-trace-bin", rng.randbytes(40)),
                        (f"x-any-{rng.randint(0, 9)}", "v" * rng.choice([0, 1, 4000])),
                        ("cookie", "a=b; c"),
                    ]
                )
            )
        return tuple(pairs)

    def _judge(self, number: int, rpc: Rpc, error: grpc.aio.AioRpcError) -> None:
        refusal = read_error(error)
        self.outcomes[rpc.path, refusal.reason or refusal.code.name] += 1
        # What the client library says when the server has ended a stream that it still writes.
        if refusal.message == "Internal error from Core":
            return
        # What gRPC itself says, before anybody else sees the message.
        if refusal.message.startswith("SERVER: Received message larger than max"):
            return
        is_explained = refusal.reason or refusal.code in _WITHOUT_DETAILS
        if refusal.code in FORBIDDEN or not is_explained:
            self.failures.append(f"call {number}, {rpc.path}: {refusal.code} {refusal.message}")


def draw_bodies(rpc: Rpc, values: Values) -> list[bytes]:
    """Returns the messages of a call, as bytes that may no longer be messages."""
    rng = values.rng
    kind = Default().FindMessageTypeByName(rpc.method.input_type.removeprefix("."))
    count = rng.randint(1, 4) if rpc.method.client_streaming else 1
    messages = [values.message(kind) for _ in range(count)]
    if rpc.method.name == "Push" and rng.random() < 0.8:
        messages = [_part(values, name) for name in _PARTS]
    bodies = [message.SerializeToString() for message in messages]
    if rng.random() < 0.12:
        at = rng.randrange(len(bodies))
        bodies[at] = values.mutate_bytes(bodies[at])
    return bodies


def _part(values: Values, name: str) -> Message:
    """A message of a push with this part."""
    kind = Default().FindMessageTypeByName("dits.repo.v1.PushRequest")
    message = GetMessageClass(kind)()
    values.fill(message, kind.fields_by_name[name])
    return message


async def _slowly(bodies: list[bytes], rng: random.Random) -> AsyncIterator[bytes]:
    with suppress(asyncio.CancelledError):
        for body in bodies:
            if rng.random() < 0.1:
                await asyncio.sleep(rng.random() / 20)
            yield body
