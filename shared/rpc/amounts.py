"""What was used: the figures that are counted for a call, and added up for whom it is charged to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Amounts:
    """Counts of a call, or of many.

    Attributes:
        requests: calls that were let in.
        received: bytes of request messages.
        sent: bytes of response messages.
        pushes: calls that counted as a push.
        pulls: calls that counted as a pull.
    """

    requests: int = 0
    received: int = 0
    sent: int = 0
    pushes: int = 0
    pulls: int = 0

    def add(self, other: Amounts) -> None:
        """Adds other counts to these."""
        self.requests += other.requests
        self.received += other.received
        self.sent += other.sent
        self.pushes += other.pushes
        self.pulls += other.pulls

    def clear(self) -> None:
        """Sets all counts to 0."""
        self.requests = self.received = self.sent = self.pushes = self.pulls = 0

    def is_empty(self) -> bool:
        """Whether all counts are 0."""
        return not (self.requests or self.received or self.sent or self.pushes or self.pulls)
