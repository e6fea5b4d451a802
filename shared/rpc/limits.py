"""What one server takes from its callers."""

from __future__ import annotations

from dataclasses import dataclass

from shared.runtime.config import Settings

MAX_MESSAGE_BYTES = 4 << 20
MAX_STREAM_MESSAGE_BYTES = 17 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of calls and messages.

    Attributes:
        max_calls: calls under way, in all.
        max_calls_each: of one account, or of one address without an account.
        max_large_calls: of the RPCs that take large messages, in all.
        max_large_calls_each: such calls of one account.
        max_message_bytes: of a request message.
        max_stream_message_bytes: of a message of the streams that carry chunks and manifests.
        first_message_seconds: how long a call may go on without its first message.
        idle_seconds: how long a stream may go on without a message in either direction.
    """

    max_calls: int = 1000
    max_calls_each: int = 256
    max_large_calls: int = 128
    max_large_calls_each: int = 32
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_stream_message_bytes: int = MAX_STREAM_MESSAGE_BYTES
    first_message_seconds: float = 10.0
    idle_seconds: float = 120.0

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Returns the limits that the operator has set."""
        return cls(
            max_calls=settings.max_calls,
            max_calls_each=settings.max_calls_each,
            max_large_calls=settings.max_large_calls,
            max_large_calls_each=settings.max_large_calls_each,
            first_message_seconds=settings.first_message_seconds,
            idle_seconds=settings.idle_seconds,
        )
