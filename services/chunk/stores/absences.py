"""Stores that are away while work goes on in the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from shared.errors import DomainError

log = structlog.get_logger(__name__)


class Absences:
    """The stores of several that were away during some work.

    Attributes:
        buckets: their names.
    """

    def __init__(self) -> None:
        self.buckets: set[str] = set()
        self._first: DomainError | None = None

    @contextmanager
    def tolerate(self, bucket: str) -> Iterator[None]:
        """Ends a part of the work quietly if its store is away."""
        try:
            yield
        except DomainError as error:
            if error.metadata.get("dependency") != "object store":
                raise
            log.warning(
                "a store cannot be used; the others go on", bucket=bucket, cause=error.message
            )
            self.buckets.add(bucket)
            self._first = self._first or error

    def raise_first(self) -> None:
        """Raises the error of the first store that was away, if there was one."""
        if self._first is not None:
            raise self._first
