"""Calls to a server with one credential; a call that fails for a passing reason is repeated."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc

from dits_client.server.backoff import ATTEMPTS, Backoff
from dits_client.server.channels import Channels
from dits_client.server.endpoints import Endpoints
from dits_client.server.late_channel import LateChannel
from dits_client.server.remote_errors import translate_error
from dits_client.server.stream_watch import StreamWatch

if TYPE_CHECKING:
    from dits.auth.v1.access_service_pb2_grpc import AccessServiceStub
    from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub
    from dits.auth.v1.audit_service_pb2_grpc import AuditServiceStub
    from dits.auth.v1.invitation_service_pb2_grpc import InvitationServiceStub
    from dits.auth.v1.key_service_pb2_grpc import KeyServiceStub
    from dits.auth.v1.notification_service_pb2_grpc import NotificationServiceStub
    from dits.auth.v1.organization_service_pb2_grpc import OrganizationServiceStub
    from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub
    from dits.auth.v1.team_service_pb2_grpc import TeamServiceStub
    from dits.auth.v1.token_service_pb2_grpc import TokenServiceStub
    from dits.repo.v1.event_service_pb2_grpc import EventServiceStub
    from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub
    from dits.repo.v1.usage_service_pb2_grpc import UsageServiceStub

Response = TypeVar("Response")

# Seconds for one unary call.
TIMEOUT = 60.0


class Client:
    """One server, called with one credential; a `RepositoryClient` calls it about one repository."""

    def __init__(self, endpoints: Endpoints, token: str = "") -> None:
        self.endpoints = endpoints
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.channels = Channels(tls=endpoints.tls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self.channels.close()

    def locate_repository(self, repository: str) -> Endpoints:
        """Return the addresses of the services that hold a repository, as the server tells them.

        Every call about a repository uses them.
        """
        from dits.auth.v1.access_service_pb2 import LocateRepositoryRequest

        request = LocateRepositoryRequest(repository=repository)
        found = self.call(self.access.LocateRepository, request)
        return self.endpoints.relocate(
            repo=found.repo_address, chunk=found.chunk_address, lock=found.lock_address
        )

    def call(
        self, method: Callable[..., Response], request: object, timeout: float = TIMEOUT
    ) -> Response:
        """Return the response of a unary call; every call of this API may be repeated."""
        backoff = Backoff(ATTEMPTS)
        while True:
            try:
                return method(request, timeout=timeout, metadata=self.metadata)
            except grpc.RpcError as error:
                backoff.wait(translate_error(error, self.endpoints))

    def read_stream(self, call: Any) -> Iterator[Any]:
        """Yield the responses of a streaming call; raise RemoteError if it fails or makes no progress."""
        watch = StreamWatch()
        try:
            with watch.guard(call):
                yield from watch.iterate(call)
        except grpc.RpcError as error:
            if watch.is_expired:
                self.channels.retire()
                raise watch.make_error(self.endpoints.name) from None
            raise translate_error(error, self.endpoints) from None

    def list_pages(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        """Yield every page of a list call."""
        return iterate_pages(self.call, method, request)

    @cached_property
    def access(self) -> "AccessServiceStub":
        """What a credential may do."""
        from dits.auth.v1.access_service_pb2_grpc import AccessServiceStub

        return AccessServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def accounts(self) -> "AccountServiceStub":
        """Accounts."""
        from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub

        return AccountServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def sessions(self) -> "SessionServiceStub":
        """Sessions."""
        from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub

        return SessionServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def tokens(self) -> "TokenServiceStub":
        """API tokens."""
        from dits.auth.v1.token_service_pb2_grpc import TokenServiceStub

        return TokenServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def keys(self) -> "KeyServiceStub":
        """The caller's keys."""
        from dits.auth.v1.key_service_pb2_grpc import KeyServiceStub

        return KeyServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def audit(self) -> "AuditServiceStub":
        """The audit log."""
        from dits.auth.v1.audit_service_pb2_grpc import AuditServiceStub

        return AuditServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def notifications(self) -> "NotificationServiceStub":
        """The caller's inbox."""
        from dits.auth.v1.notification_service_pb2_grpc import NotificationServiceStub

        return NotificationServiceStub(LateChannel(lambda: self.channels.get(self.endpoints.auth)))

    @cached_property
    def organizations(self) -> "OrganizationServiceStub":
        """Organisations and their members."""
        from dits.auth.v1.organization_service_pb2_grpc import OrganizationServiceStub

        return OrganizationServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def invitations(self) -> "InvitationServiceStub":
        """Invitations into organisations."""
        from dits.auth.v1.invitation_service_pb2_grpc import InvitationServiceStub

        return InvitationServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def teams(self) -> "TeamServiceStub":
        """Teams of organisations."""
        from dits.auth.v1.team_service_pb2_grpc import TeamServiceStub

        return TeamServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def repositories(self) -> "RepositoryServiceStub":
        """The repositories that the caller may use."""
        from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub

        return RepositoryServiceStub(self.channels.get(self.endpoints.repo))

    @cached_property
    def events(self) -> "EventServiceStub":
        """What happens."""
        from dits.repo.v1.event_service_pb2_grpc import EventServiceStub

        return EventServiceStub(LateChannel(lambda: self.channels.get(self.endpoints.repo)))

    @cached_property
    def usage(self) -> "UsageServiceStub":
        """The usage of the caller and of organisations."""
        from dits.repo.v1.usage_service_pb2_grpc import UsageServiceStub

        return UsageServiceStub(self.channels.get(self.endpoints.repo))


def iterate_pages(
    call: Callable[..., Any], method: Callable[..., Any], request: Any
) -> Iterator[Any]:
    """Yield every page of a list call; `call` makes the calls."""
    while True:
        response = call(method, request)
        yield response
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token
