"""What happens, as it happens: streams that go on over broken connections and restarts of the server."""

from collections.abc import Callable, Iterator
from typing import Any

from dits.repo.v1.event_service_pb2 import WatchRequest, WatchResponse

from dits_client.errors import RemoteError
from dits_client.server.backoff import ATTEMPTS, Backoff
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient

# A stream that has begun is resumed for as long as it takes.
_ENDLESS = 1_000_000_000


def watch_events(
    subject: Client | RepositoryClient, request: WatchRequest
) -> Iterator[WatchResponse | RemoteError]:
    """Yield events as `resume_stream` does."""
    yield from resume_stream(subject, subject.events.Watch, request)


def resume_stream(
    subject: Client | RepositoryClient, method: Callable[..., Any], request: Any
) -> Iterator[Any]:
    """Yield what the server sends, without an end; after a failure that passes, the RemoteError.

    `request` is changed: its cursor is where the stream is. Raises RemoteError for what does not pass, and
    for what passes if nothing was received at all.
    """
    backoff = Backoff(ATTEMPTS)
    while True:
        try:
            for response in subject.read_stream(method(request, metadata=subject.metadata)):
                backoff = Backoff(_ENDLESS)
                request.cursor = response.cursor
                yield response
        except RemoteError as error:
            backoff.wait(error)
            yield error
