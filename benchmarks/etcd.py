"""etcd's lock service, measured beside ours where etcd is installed (Debian: etcd-server)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

if TYPE_CHECKING:
    Method: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
else:
    Method = object

# Its protos are not on PyPI. What is needed of them, by field number: LeaseGrantRequest.TTL = 1,
# LeaseGrantResponse.ID = 2; LockRequest.name = 1, .lease = 2; LockResponse.key = 2; UnlockRequest.key = 1.
_GRANT = "/etcdserverpb.Lease/LeaseGrant"
_LOCK = "/v3lockpb.Lock/Lock"
_UNLOCK = "/v3lockpb.Lock/Unlock"
START_SECONDS = 20.0


class Etcd:
    """Locks and unlocks names under one lease, as a client of etcd's own API does."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._grant: Method = channel.unary_unary(_GRANT)
        self._lock: Method = channel.unary_unary(_LOCK)
        self._unlock: Method = channel.unary_unary(_UNLOCK)
        self._lease = 0

    async def begin(self) -> None:
        """Takes the lease."""
        granted = _fields(await self._grant(_integer(1, 3600)))
        lease = granted[2]
        assert isinstance(lease, int)  # noqa: S101  a varint by its definition
        self._lease = lease

    async def pair(self, name: str) -> None:
        """One lock and its release."""
        answer = await self._lock(_bytes(1, name.encode()) + _integer(2, self._lease))
        key = _fields(answer)[2]
        assert isinstance(key, bytes)  # noqa: S101  bytes by their definition
        await self._unlock(_bytes(1, key))


@contextmanager
def running() -> Iterator[str | None]:
    """An etcd with its data where ours is; yields its address, None where there is no etcd."""
    binary = shutil.which("etcd")
    if binary is None:
        yield None
        return
    client, peer = _free_port(), _free_port()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        command = [binary, "--data-dir", folder, "--log-level", "error"]
        for kind, port in (("client", client), ("peer", peer)):
            url = f"http://127.0.0.1:{port}"
            advertise = (
                "advertise-client-urls" if kind == "client" else "initial-advertise-peer-urls"
            )
            command += [f"--listen-{kind}-urls", url, f"--{advertise}", url]
        command += ["--initial-cluster", f"default=http://127.0.0.1:{peer}"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                _wait(client)
                yield f"127.0.0.1:{client}"
            finally:
                process.terminate()


def _wait(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grant: Any = channel.unary_unary(_GRANT)
        grant(_integer(1, 60), wait_for_ready=True, timeout=START_SECONDS)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Integers and bytes of a message by field number."""
    found: dict[int, int | bytes] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        value = varint()
        if key & 7 == 2:
            found[key >> 3] = message[at : at + value]
            at += value
        else:
            found[key >> 3] = value
    return found
