"""Calls about one repository, at the addresses of the services that hold it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from dits.chunk.v1.chunk_service_pb2 import GetCapabilitiesRequest, TreeLimits
from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND, ERROR_REASON_WRONG_CELL
from dits.repo.v1.ref_service_pb2 import GetBranchRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest

from dits_client.errors import RemoteError
from dits_client.server.client import TIMEOUT, Client, iterate_pages
from dits_client.server.endpoints import Endpoints
from dits_client.server.error_sentences import describe_server
from dits_client.server.late_channel import LateChannel
from dits_client.server.named_channel import find_service
from dits_client.server.remote_errors import translate_error
from dits_client.server.stream_watch import StreamWatch

if TYPE_CHECKING:
    from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
    from dits.chunk.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub
    from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
    from dits.repo.v1.event_service_pb2_grpc import EventServiceStub
    from dits.repo.v1.grant_service_pb2_grpc import GrantServiceStub
    from dits.repo.v1.ref_service_pb2_grpc import RefServiceStub
    from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub
    from dits.repo.v1.transfer_service_pb2_grpc import TransferServiceStub
    from dits.repo.v1.tree_service_pb2_grpc import TreeServiceStub
    from dits.repo.v1.usage_service_pb2_grpc import UsageServiceStub
    from dits.repo.v1.webhook_service_pb2_grpc import WebhookServiceStub

Response = TypeVar("Response")
# Calls that started before new addresses were learned may still fail for so long, in seconds.
RELOCATION_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RepositoryInfo:
    """What a client needs to know about a repository."""

    id: str
    # `owner/name`, in its own spelling.
    name: str
    default_branch: str
    lock_required: bool
    portable_names: bool
    # Which files need a lock, as a .gitignore says it; empty = all.
    lock_patterns: tuple[str, ...] = ()
    # Which files are fetched only when somebody asks for them, as a .gitignore says it; empty = none.
    on_demand_patterns: tuple[str, ...] = ()


class RepositoryClient:
    """A repository, called with the credential of a client."""

    def __init__(self, client: Client, name: str) -> None:
        """Take `owner/name` or a UUID; nothing is asked yet."""
        self.client = client
        self.name = name
        self._endpoints: Endpoints | None = None
        # When the server last named other addresses than before; by default never.
        self._relocated = float("-inf")
        self._lock = threading.Lock()

    @property
    def endpoints(self) -> Endpoints:
        """The addresses of the services that hold the repository."""
        with self._lock:
            if self._endpoints is None:
                self._endpoints = self.client.locate_repository(self.name)
            return self._endpoints

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The credential, as calls carry it."""
        return self.client.metadata

    @property
    def chunk_channel(self) -> grpc.Channel:
        """The channel to the chunk service, for messages that are bytes already."""
        return LateChannel(lambda: self.client.channels.get(self.endpoints.chunk))

    def call(
        self, method: Callable[..., Response], request: object, timeout: float = TIMEOUT
    ) -> Response:
        """Return the response of a unary call; every call of this API may be repeated."""
        try:
            return self.client.call(method, request, timeout)
        except RemoteError as error:
            if not self._has_moved(error):
                raise
        return self.client.call(method, request, timeout)

    def read_stream(self, call: Any, watch: StreamWatch | None = None) -> Iterator[Any]:
        """Yield the responses of a streaming call; raise RemoteError if it fails or makes no progress."""
        watch = watch or StreamWatch()
        try:
            with watch.guard(call):
                yield from watch.iterate(call)
        except grpc.RpcError as error:
            raise self.end_stream(error, watch) from None

    def end_stream(self, error: Exception, watch: StreamWatch) -> RemoteError:
        """Return why a stream ended; after a silence, the next one takes a new connection."""
        if watch.is_expired:
            self.client.channels.retire()
            return watch.make_error(describe_server(find_service(error), self.client.endpoints))
        if not isinstance(error, grpc.RpcError):
            raise error
        found = translate_error(error, self.client.endpoints)
        if self._has_moved(found):
            found.retry_after = 0.0
        return found

    def _has_moved(self, error: RemoteError) -> bool:
        """Return whether a call failed at an old address; the server is asked for the new one."""
        if error.reason != ERROR_REASON_WRONG_CELL:
            return False
        with self._lock:
            found, now = self.client.locate_repository(self.name), time.monotonic()
            if found != self._endpoints:
                self._relocated, self._endpoints = now, found
            return now - self._relocated < RELOCATION_SECONDS

    def list_pages(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        """Yield every page of a list call."""
        return iterate_pages(self.call, method, request)

    def get_info(self) -> RepositoryInfo:
        """Return the repository's name, default branch and rules."""
        request = GetRepositoryRequest(repository=self.name)
        found = self.call(self.repositories.GetRepository, request).repository
        settings = found.settings
        # An absent setting means the default, which is true.
        required = settings.require_lock_for_edit or not settings.HasField("require_lock_for_edit")
        portable = settings.portable_names or not settings.HasField("portable_names")
        patterns = tuple(settings.lock_patterns), tuple(settings.on_demand_patterns)
        names = found.id, f"{found.owner}/{found.name}", found.default_branch
        return RepositoryInfo(*names, required, portable, *patterns)

    def get_limits(self) -> TreeLimits:
        """Return the server's limits of trees and pushes; 0 = it does not say."""
        return self.call(self.chunks.GetCapabilities, GetCapabilitiesRequest()).tree_limits

    def get_head(self, branch: str) -> str:
        """Return the commit that a branch is at, in hexadecimal; empty = there is no such branch."""
        request = GetBranchRequest(repository=self.name, name=branch)
        try:
            return self.call(self.refs.GetBranch, request).branch.head
        except RemoteError as error:
            if error.reason != ERROR_REASON_NOT_FOUND or error.lacks_repository:
                raise
            return ""

    @cached_property
    def repositories(self) -> "RepositoryServiceStub":
        """The repository itself."""
        from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub

        return RepositoryServiceStub(self.repo_channel)

    @cached_property
    def grants(self) -> "GrantServiceStub":
        """Who was given a right on it."""
        from dits.repo.v1.grant_service_pb2_grpc import GrantServiceStub

        return GrantServiceStub(self.repo_channel)

    @cached_property
    def transfers(self) -> "TransferServiceStub":
        """Its way to another owner."""
        from dits.repo.v1.transfer_service_pb2_grpc import TransferServiceStub

        return TransferServiceStub(self.repo_channel)

    @cached_property
    def refs(self) -> "RefServiceStub":
        """Branches."""
        from dits.repo.v1.ref_service_pb2_grpc import RefServiceStub

        return RefServiceStub(self.repo_channel)

    @cached_property
    def commits(self) -> "CommitServiceStub":
        """History."""
        from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub

        return CommitServiceStub(self.repo_channel)

    @cached_property
    def trees(self) -> "TreeServiceStub":
        """Directories and files of commits."""
        from dits.repo.v1.tree_service_pb2_grpc import TreeServiceStub

        return TreeServiceStub(self.repo_channel)

    @cached_property
    def events(self) -> "EventServiceStub":
        """What happens."""
        from dits.repo.v1.event_service_pb2_grpc import EventServiceStub

        return EventServiceStub(self.repo_channel)

    @cached_property
    def usage(self) -> "UsageServiceStub":
        """What the repository has used."""
        from dits.repo.v1.usage_service_pb2_grpc import UsageServiceStub

        return UsageServiceStub(self.repo_channel)

    @cached_property
    def webhooks(self) -> "WebhookServiceStub":
        """Where events are sent to."""
        from dits.repo.v1.webhook_service_pb2_grpc import WebhookServiceStub

        return WebhookServiceStub(self.repo_channel)

    @cached_property
    def chunks(self) -> "ChunkServiceStub":
        """Chunks."""
        from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub

        return ChunkServiceStub(self.chunk_channel)

    @cached_property
    def maintenance(self) -> "MaintenanceServiceStub":
        """What is stored, and what is lost."""
        from dits.chunk.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub

        return MaintenanceServiceStub(self.chunk_channel)

    @cached_property
    def locks(self) -> "LockServiceStub":
        """Locks."""
        from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub

        channel = LateChannel(lambda: self.client.channels.get(self.endpoints.lock))
        return LockServiceStub(channel)

    @property
    def repo_channel(self) -> grpc.Channel:
        """The channel to the repo service."""
        return LateChannel(lambda: self.client.channels.get(self.endpoints.repo))
