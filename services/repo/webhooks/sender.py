"""Sends requests to receivers, and only to addresses that may be connected to.

What comes back is bounded: in time, in bytes, in headers. Nothing of it is followed or unfolded.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import certifi
import httpcore

from services.repo.webhooks.addresses import Address, AllowedNetworks
from services.repo.webhooks.bounded_network import BoundedNetwork
from services.repo.webhooks.reading import AnswerReading
from services.repo.webhooks.resolver import Resolve
from services.repo.webhooks.urls import Receiver
from shared.rpc.validation import plain_text

SECONDS = 10.0
# How much of the time that is left a connection may take, and as much again its TLS: the next address gets
# its turn, and nothing of a connection that is not complete is cancelled, which would leave it open.
CONNECT_SHARE = 0.4
MAX_ADDRESSES = 4
MAX_CONNECTIONS = 4
MAX_ERROR_CHARACTERS = 300

BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request.

    Attributes:
        error: why it failed, for people; None = it succeeded.
        status: of HTTP; 0 = there was no answer.
        is_complete: the answer came to its end, or to the end of what is kept, in time.
        body: its beginning, as it came.
    """

    error: str | None
    duration_ms: int
    status: int = 0
    is_complete: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@functools.cache
def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """Returns what judges certificates; to load all of certifi's takes 15 ms."""
    return ssl.create_default_context(cafile=str(ca_file or certifi.where()))


class SendError(Exception):
    """A request had no answer; the text says why, for people."""


class Sender:
    """Sends requests to receivers."""

    def __init__(
        self,
        allowed: AllowedNetworks,
        resolve: Resolve,
        *,
        ca_file: Path | None = None,
        seconds: float = SECONDS,
    ) -> None:
        """`ca_file`: authorities to trust instead of certifi's; `seconds`: for a request and its answer."""
        self._allowed = allowed
        self._resolve = resolve
        self._seconds = seconds
        self._tls = _trust(ca_file)

    @asynccontextmanager
    async def connect(self, receiver: Receiver) -> AsyncIterator[Connection]:
        """Yields what sends to one receiver; its connections end with the context."""
        # It has no cookies, no redirects, and nothing of the environment.
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=2 * MAX_CONNECTIONS,
            keepalive_expiry=5.0,
            network_backend=BoundedNetwork(),
        )
        async with pool:
            yield Connection(self, receiver, pool)

    @property
    def seconds(self) -> float:
        """How long a request may take, with its answer."""
        return self._seconds

    async def find_addresses(self, receiver: Receiver) -> Sequence[Address]:
        """Returns where to connect to. Raises SendError, also if any of the addresses is not allowed."""
        if receiver.address is not None:
            found: list[Address] = [receiver.address]
        else:
            try:
                texts = await self._resolve(receiver.host, receiver.port)
            except OSError:
                raise SendError("The name of the host has no address.") from None
            found = [ipaddress.ip_address(text) for text in texts]
        if not found:
            raise SendError("The name of the host has no address.")
        if not all(self._allowed.permits(address, receiver.scheme) for address in found):
            kind = "a public one" if receiver.scheme == "https" else "one that http is allowed for"
            raise SendError(f"An address of the host is not {kind}.")
        return found[:MAX_ADDRESSES]


class Connection:
    """Sends to one receiver, over connections that it keeps for a while."""

    def __init__(
        self, sender: Sender, receiver: Receiver, pool: httpcore.AsyncConnectionPool
    ) -> None:
        self.receiver = receiver
        self._sender = sender
        self._pool = pool

    async def send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Sends one request, and returns what became of it. Raises nothing, whatever the receiver does."""
        begun = time.monotonic()
        end = asyncio.get_running_loop().time() + self._sender.seconds
        reading = AnswerReading()
        error: str | None
        is_complete = False
        try:
            async with asyncio.timeout_at(end):
                addresses = await self._sender.find_addresses(self.receiver)
                await self._exchange(addresses, headers, body, end, reading)
            error, is_complete = reading.describe_failure(), True
        except TimeoutError:
            error = f"The answer did not end within {self._sender.seconds:g} seconds."
            if not reading.status:
                error = f"No answer came within {self._sender.seconds:g} seconds."
        except SendError as failure:
            error = str(failure)
        duration = round((time.monotonic() - begun) * 1000)
        return Answer(
            error,
            duration,
            reading.status,
            is_complete,
            tuple(reading.headers),
            bytes(reading.body),
        )

    async def _exchange(
        self,
        addresses: Sequence[Address],
        headers: Mapping[str, str],
        body: bytes,
        end: float,
        reading: AnswerReading,
    ) -> None:
        """Tries the addresses until one can be connected to. Raises SendError."""
        failure = SendError("No connection could be made.")
        for address in addresses:
            left = end - asyncio.get_running_loop().time()
            request = self._make_request(address, headers, body, CONNECT_SHARE * left)
            try:
                response = await self._pool.handle_async_request(request)
                try:
                    await reading.read(response)
                finally:
                    await response.aclose()
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = SendError(_describe_connect_error(error))
            except BROKEN as error:
                text = plain_text(str(error), MAX_ERROR_CHARACTERS)
                raise SendError(f"The connection broke: {text or type(error).__name__}.") from None
            else:
                return
        raise failure

    def _make_request(
        self, address: Address, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> httpcore.Request:
        """The connection goes to the address; the certificate and `Host` are those of the name."""
        receiver = self.receiver
        extensions: dict[str, object] = {"timeout": {"connect": seconds}}
        if receiver.address is None:
            extensions["sni_hostname"] = receiver.host
        return httpcore.Request(
            "POST",
            httpcore.URL(
                scheme=receiver.scheme,
                host=str(address),
                port=receiver.port,
                target=receiver.target,
            ),
            headers=[
                *headers.items(),
                ("Host", receiver.authority),
                ("Content-Length", str(len(body))),
            ],
            content=body,
            extensions=extensions,
        )


def _describe_connect_error(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The certificate is not valid: {plain_text(cause.verify_message, 200)}."
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {plain_text(cause.reason or 'unknown', 200)}."
        cause = cause.__cause__ or cause.__context__
    return "No connection could be made."
