"""What can go wrong, each as one sentence for people and a reason for programs."""

from collections.abc import Mapping


class ClientError(Exception):
    """A failure that the user is told about in one sentence."""


class ConflictError(ClientError):
    """Local changes stand in the way; `paths` lists them."""

    def __init__(self, message: str, paths: list[str]) -> None:
        super().__init__(message)
        self.paths = paths


class RemoteError(ClientError):
    """An answer of the server that is an error."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Take the message, the status code's name, and the ErrorInfo's reason without its prefix."""
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})
        # Seconds; None = repeating the call is of no use.
        self.retry_after = retry_after


def os_error(error: OSError, action: str, path: str) -> ClientError:
    """Return the sentence for a failed file operation: `cannot read "a/b": permission denied`."""
    reason = (error.strerror or str(error)).lower()
    return ClientError(f'cannot {action} "{path}": {reason}')
