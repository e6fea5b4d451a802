"""Calls to a server with one credential; a call that fails for a passing reason is repeated."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import grpc
from dits.common.v1.error_reason_pb2 import ERROR_REASON_SUDO_REQUIRED

from dits_client.errors import RemoteError
from dits_client.server.backoff import ATTEMPTS, Backoff, call_until_ended
from dits_client.server.channels import Channels
from dits_client.server.credential import Credential, Metadata, SessionCredential, SessionStore
from dits_client.server.endpoints import Endpoints
from dits_client.server.error_sentences import describe_server
from dits_client.server.named_channel import find_service
from dits_client.server.remote_errors import translate_error
from dits_client.server.service_stubs import ServiceStubs
from dits_client.server.stream_watch import StreamWatch

if TYPE_CHECKING:
    from dits.auth.v1.access_service_pb2 import LocateRepositoryResponse, LocateServicesResponse

Response = TypeVar("Response")
# Returns the credential with which a call that needs sudo is repeated. Raises ClientError.
Prove: TypeAlias = Callable[["Client"], Metadata]

# Seconds for one unary call.
TIMEOUT = 60.0


class Client(ServiceStubs):
    """One server, called with one credential; a `RepositoryClient` calls it about one repository."""

    def __init__(
        self,
        endpoints: Endpoints,
        token: str = "",
        prove: "Prove | None" = None,
        *,
        session: SessionStore | None = None,
    ) -> None:
        """Take an API token, or the session of a store; and what proves again who the user is for sudo."""
        self.endpoints = endpoints
        # Username of the account; empty = nobody has said it. Folders that are cloned remember it.
        self.account = ""
        self._prove = prove
        # Whether a service has answered: if one does not any more, it may be starting again.
        self._was_reached = False
        self.channels = Channels(tls=endpoints.tls)
        self.credential = (
            Credential(token)
            if session is None
            else SessionCredential(
                endpoints.name, session, self._refresh_session, self._touch_session
            )
        )

    @property
    def metadata(self) -> Metadata:
        """The metadata that the next call is sent with."""
        return self.credential.get_metadata()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self.credential.close()
        self.channels.close()

    def locate_repository(self, repository: str) -> Endpoints:
        """Return the addresses of the services that hold a repository, as the server tells them.

        Every call about a repository uses them.
        """
        from dits.auth.v1.access_service_pb2 import LocateRepositoryRequest

        request = LocateRepositoryRequest(repository=repository)
        return self._relocate(self.call(self.access.LocateRepository, request))

    @cached_property
    def services(self) -> Endpoints:
        """The addresses of the services for calls about no single repository, as the server tells them."""
        from dits.auth.v1.access_service_pb2 import LocateServicesRequest

        try:
            return self._relocate(self.call(self.access.LocateServices, LocateServicesRequest()))
        except RemoteError as error:
            # An older server does not tell.
            if error.code != "UNIMPLEMENTED":
                raise
        return self.endpoints

    def _relocate(self, found: "LocateRepositoryResponse | LocateServicesResponse") -> Endpoints:
        return self.endpoints.relocate(
            repo=found.repo_address, chunk=found.chunk_address, lock=found.lock_address
        )

    def call(
        self, method: Callable[..., Response], request: object, timeout: float = TIMEOUT
    ) -> Response:
        """Return the response of a unary call; every call of this API may be repeated.

        One that needs sudo is repeated once with the credential that the user's proof leads to.
        """
        try:
            return self._repeat(method, request, timeout)
        except RemoteError as error:
            if error.reason != ERROR_REASON_SUDO_REQUIRED or self._prove is None:
                raise
        return self._repeat(method, request, timeout, self._prove(self))

    def _repeat(
        self,
        method: Callable[..., Response],
        request: object,
        timeout: float,
        proven: Metadata | None = None,
        attempts: int = ATTEMPTS,
    ) -> Response:
        """Call with the credential that has sudo, or with the own one, which may be renewed meanwhile."""
        backoff = Backoff(attempts)
        while True:
            metadata = self.metadata if proven is None else proven
            try:
                response: Response = call_until_ended(
                    method, request, timeout=timeout, metadata=metadata
                )
            except grpc.RpcError as error:
                failure = translate_error(error, self.endpoints)
                self._was_reached |= failure.reason is not None
            else:
                self._was_reached = True
                return response
            # A wrong password in the request is wrong under each token, and each attempt counts.
            is_refused = (
                failure.code == "UNAUTHENTICATED" and failure.metadata.get("refused") != "request"
            )
            if proven is not None or not is_refused or not self.credential.renew(metadata):
                # Not earlier: the first call about a repository asks auth for the addresses on its way.
                backoff.patience = timeout if self._was_reached else 0.0
                backoff.wait(failure)

    def _refresh_session(self, token: str) -> str:
        """Return the token of a session after this one. Raise RemoteError."""
        from dits.auth.v1.session_service_pb2 import RefreshSessionRequest

        request = RefreshSessionRequest(session_token=token)
        # Before the first answer, the token that is there does as well, and the call repeats itself.
        attempts = ATTEMPTS if self._was_reached else 1
        # It names the session itself, and takes no other credential.
        response = self._repeat(self.sessions.RefreshSession, request, TIMEOUT, (), attempts)
        return str(response.session.token)

    def _touch_session(self, metadata: Metadata) -> None:
        """Use a session, so that it does not end for being idle. Raise RemoteError."""
        from dits.auth.v1.access_service_pb2 import CheckAccessRequest

        self._repeat(self.access.CheckAccess, CheckAccessRequest(), TIMEOUT, metadata)

    def read_stream(self, call: Any) -> Iterator[Any]:
        """Yield the responses of a streaming call; raise RemoteError if it fails or makes no progress."""
        watch = StreamWatch()
        try:
            with watch.guard(call):
                yield from watch.iterate(call)
        except grpc.RpcError as error:
            if watch.is_expired:
                self.channels.retire()
                server = describe_server(find_service(call), self.endpoints)
                raise watch.make_error(server) from None
            raise translate_error(error, self.endpoints) from None

    def list_pages(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        """Yield every page of a list call."""
        return iterate_pages(self.call, method, request)


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
