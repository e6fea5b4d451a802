"""Calls to the servers: channels, the credential, and repeating what may be repeated."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc

from dits_client.errors import RemoteError
from dits_client.server.endpoints import Endpoints
from dits_client.server.remote_errors import translate

if TYPE_CHECKING:
    from dits.auth.v1.access_service_pb2_grpc import AccessServiceStub
    from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub
    from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub
    from dits.auth.v1.token_service_pb2_grpc import TokenServiceStub
    from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub
    from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
    from dits.repo.v1.ref_service_pb2_grpc import RefServiceStub
    from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub
    from dits.repo.v1.tree_service_pb2_grpc import TreeServiceStub

Request = TypeVar("Request")
Response = TypeVar("Response")

# Seconds for one unary call.
TIMEOUT = 60.0
# Failures in a row after which a call is given up: soon where a person waits for an answer, later in the
# middle of a long transfer. Then the longest pause between two attempts.
ATTEMPTS = 4
STREAM_ATTEMPTS = 8
LONGEST_PAUSE = 10.0
# Room for one stored object of 16 MiB and its envelope.
MESSAGE_LIMIT = 17 << 20
_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    # Large frames and windows: a chunk stream is then a third faster.
    ("grpc.http2.max_frame_size", 1 << 20),
    ("grpc.http2.write_buffer_size", 4 << 20),
    ("grpc.http2.lookahead_bytes", 4 << 20),
    ("grpc.enable_retries", 0),
    # A broken connection is noticed, and replaced, soon.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


class Backoff:
    """Pauses between attempts; gives up after too many failures in a row."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._failures = 0

    def succeeded(self) -> None:
        """Start counting anew: there was progress."""
        self._failures = 0

    def wait(self, error: RemoteError, stop: threading.Event | None = None) -> None:
        """Sleep before the next attempt, or raise the error if there shall be none."""
        self._failures += 1
        if error.retry_after is None or self._failures >= self._attempts:
            raise error
        if error.retry_after > LONGEST_PAUSE:
            raise error
        grown = min(0.1 * 2**self._failures, LONGEST_PAUSE)
        # Spread out, so that many clients do not come back at the same moment.
        pause = max(error.retry_after, grown) * random.uniform(0.7, 1.0)  # noqa: S311
        if stop is None:
            time.sleep(pause)
        elif stop.wait(pause):
            raise error


class Client:
    """The four services of one server, called with one credential."""

    def __init__(self, endpoints: Endpoints, token: str = "") -> None:
        self.endpoints = endpoints
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channels: dict[str, grpc.Channel] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def channel(self, service: str) -> grpc.Channel:
        """Return the connection to `auth`, `repo`, `chunk` or `lock`."""
        with self._lock:
            if service not in self._channels:
                address = getattr(self.endpoints, service)
                if self.endpoints.tls:
                    credentials = grpc.ssl_channel_credentials()
                    channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
                else:
                    channel = grpc.insecure_channel(address, options=_OPTIONS)
                self._channels[service] = channel
            return self._channels[service]

    def call(
        self, method: Callable[..., Response], request: object, timeout: float = TIMEOUT
    ) -> Response:
        """Make a unary call; every call of this API may be repeated, so a passing failure is."""
        backoff = Backoff(ATTEMPTS)
        while True:
            try:
                return method(request, timeout=timeout, metadata=self.metadata)
            except grpc.RpcError as error:
                backoff.wait(translate(error, self.endpoints))

    def stream(self, responses: Iterable[Response]) -> Iterator[Response]:
        """Yield the responses of a streaming call with its errors translated."""
        try:
            yield from responses
        except grpc.RpcError as error:
            raise translate(error, self.endpoints) from None

    def pages(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        """Yield every page of a list call."""
        while True:
            response = self.call(method, request)
            yield response
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    @cached_property
    def access(self) -> "AccessServiceStub":
        """What a credential may do."""
        from dits.auth.v1.access_service_pb2_grpc import AccessServiceStub

        return AccessServiceStub(self.channel("auth"))

    @cached_property
    def accounts(self) -> "AccountServiceStub":
        """Accounts."""
        from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub

        return AccountServiceStub(self.channel("auth"))

    @cached_property
    def sessions(self) -> "SessionServiceStub":
        """Sessions."""
        from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub

        return SessionServiceStub(self.channel("auth"))

    @cached_property
    def tokens(self) -> "TokenServiceStub":
        """API tokens."""
        from dits.auth.v1.token_service_pb2_grpc import TokenServiceStub

        return TokenServiceStub(self.channel("auth"))

    @cached_property
    def repositories(self) -> "RepositoryServiceStub":
        """Repositories."""
        from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub

        return RepositoryServiceStub(self.channel("repo"))

    @cached_property
    def refs(self) -> "RefServiceStub":
        """Branches."""
        from dits.repo.v1.ref_service_pb2_grpc import RefServiceStub

        return RefServiceStub(self.channel("repo"))

    @cached_property
    def commits(self) -> "CommitServiceStub":
        """History."""
        from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub

        return CommitServiceStub(self.channel("repo"))

    @cached_property
    def trees(self) -> "TreeServiceStub":
        """Directories and files of commits."""
        from dits.repo.v1.tree_service_pb2_grpc import TreeServiceStub

        return TreeServiceStub(self.channel("repo"))

    @cached_property
    def chunks(self) -> "ChunkServiceStub":
        """Chunks."""
        from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub

        return ChunkServiceStub(self.channel("chunk"))

    @cached_property
    def locks(self) -> "LockServiceStub":
        """Locks."""
        from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub

        return LockServiceStub(self.channel("lock"))
