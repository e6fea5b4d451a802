"""Inputs that are small, or allowed, and made to cost much: the corpus, by name.

Nested, repeated, compressed, wide, deep, many, slow. Each case says how it may end; whatever the end, the
server stays free, and its memory comes back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from tests.fuzz.conftest import Target
from tests.support.api import Metadata, read_error
from tests.support.raw_calls import STREAMING
from tests.support.rpcs import name_service

Attack = Callable[[Target], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Bomb:
    """A case of the corpus.

    Attributes:
        ends: the reasons, without prefix, or codes with which it may end; `OK` if it may pass.
        attack: sends it; returns how it ended.
    """

    name: str
    ends: frozenset[str]
    attack: Attack


CORPUS: dict[str, Bomb] = {}


def bomb(*ends: str) -> Callable[[Attack], Attack]:
    """Adds a function to the corpus, under its name."""

    def add(attack: Attack) -> Attack:
        name = attack.__name__
        assert name not in CORPUS
        CORPUS[name] = Bomb(name, frozenset(ends), attack)
        return attack

    return add


async def send(
    target: Target,
    path: str,
    *bodies: bytes | Message,
    metadata: Metadata | None = None,
    **options: Any,
) -> str:
    """Makes a call as Ada, reads all that comes, and returns how it ended."""
    if metadata is None:
        metadata = target.world.ada.auth
    data = [body if isinstance(body, bytes) else body.SerializeToString() for body in bodies]
    sends_many, gets_many = STREAMING.get(path, (False, False))
    channel: Any = target.api.channels[name_service(path)]
    kind = f"{'stream' if sends_many else 'unary'}_{'stream' if gets_many else 'unary'}"
    call = getattr(channel, kind)(path)(
        iter(data) if sends_many else data[0], metadata=metadata, timeout=60, **options
    )
    try:
        if gets_many:
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return outcome(error)
    return "OK"


def outcome(error: grpc.aio.AioRpcError) -> str:
    """Returns the reason of a refused call, or its code if it has none."""
    refusal = read_error(error)
    return refusal.reason or refusal.code.name


def encode_varint(value: int) -> bytes:
    """Returns a number as protobuf writes it."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
