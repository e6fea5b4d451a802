"""What can go wrong: one sentence for people, and for programs a reason with typed details."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from dits_client.terminal import quote_text

if TYPE_CHECKING:
    from dits.common.v1.error_reason_pb2 import ErrorReason


class ClientError(Exception):
    """A failure, described to the user in one sentence."""

    # Of the command that it ends.
    exit_code = 1


class NoWorkspaceError(ClientError):
    """The folder is in no workspace."""


class UsageError(ClientError):
    """The arguments do not go together."""

    exit_code = 2


class ConflictError(ClientError):
    """Local changes would be lost; `paths` lists them."""

    def __init__(self, message: str, paths: list[str]) -> None:
        super().__init__(message)
        self.paths = paths


class Violation(NamedTuple):
    """A field of the request that is wrong, and how."""

    field: str
    description: str


class Resource(NamedTuple):
    """What was not found, or which name is taken."""

    type: str
    name: str


class ErrorDetails(NamedTuple):
    """The typed details of an error; what the server did not send is empty."""

    # Seconds to wait before the next attempt (RetryInfo).
    retry_delay: float | None = None
    # Fields of the request (BadRequest).
    fields: tuple[Violation, ...] = ()
    # ResourceInfo.
    resource: Resource | None = None


NO_DETAILS = ErrorDetails()


class RemoteError(ClientError):
    """A call failed: the server refused it, or did not answer.

    Programs decide by `reason`, `metadata` and `details`; the sentence is for people and may change.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: "ErrorReason.ValueType | None" = None,
        metadata: Mapping[str, str] | None = None,
        details: ErrorDetails = NO_DETAILS,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        # Name of the gRPC status code.
        self.code = code
        # None = no dits service answered; ERROR_REASON_UNSPECIFIED = this client does not know the reason.
        self.reason = reason
        # The reason's metadata; error_reason.proto lists the keys.
        self.metadata = dict(metadata or {})
        self.details = details
        # Seconds; None = repeating the call is of no use.
        self.retry_after = retry_after

    @property
    def is_absence(self) -> bool:
        """Whether a service was away, or its connection broke: it may be starting again."""
        is_broken = self.reason is None and self.code != "DEADLINE_EXCEEDED"
        return self.retry_after is not None and (is_broken or self.code == "UNAVAILABLE")

    @property
    def lacks_repository(self) -> bool:
        """Whether it is about the repository itself that was not found, and not about what is in it."""
        found = self.details.resource
        return found is not None and found.type == "repository"


def os_error(error: OSError, action: str, path: str) -> ClientError:
    """Return the sentence for a failed file operation: `cannot read "a/b": permission denied`."""
    reason = (error.strerror or str(error)).lower()
    return ClientError(f"cannot {action} {quote_text(path)}: {reason}")
