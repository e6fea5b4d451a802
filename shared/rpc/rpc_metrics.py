"""What is counted of every call: labels are bound once for each RPC, so that counting costs little."""

from __future__ import annotations

import grpc
from dits.common.v1.error_reason_pb2 import ErrorReason
from prometheus_client import Counter

from shared.errors import DomainError
from shared.runtime import metrics

UNKNOWN = "unknown"


class RpcMeter:
    """Counts the calls of one RPC, and their bytes."""

    __slots__ = ("_by_code", "_method", "_observe", "_service", "count_received", "count_sent")

    def __init__(self, service: str, path: str) -> None:
        """`service`: the dits service; `path`: of the RPC, as gRPC writes it."""
        self._service = service
        self._method = path.removeprefix("/")
        labels = (service, self._method)
        self._by_code: dict[str, Counter] = {}
        self._observe = metrics.RPC_SECONDS.labels(*labels).observe
        self.count_received = metrics.RPC_RECEIVED_BYTES.labels(*labels).inc
        self.count_sent = metrics.RPC_SENT_BYTES.labels(*labels).inc

    def record(self, code: str, failure: DomainError | None, seconds: float) -> None:
        """Counts a call that has ended."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = metrics.RPCS.labels(self._service, self._method, code)
        counter.inc()
        self._observe(seconds)
        if failure is not None:
            reason = ErrorReason.Name(failure.reason).removeprefix("ERROR_REASON_")
            metrics.RPC_ERRORS.labels(self._service, reason).inc()


class UnknownMethods(grpc.GenericRpcHandler):
    """The last of the handlers: counts what none of the others serves, and leaves the answer to gRPC."""

    def __init__(self, service: str) -> None:
        self._count = metrics.RPCS.labels(service, UNKNOWN, "UNIMPLEMENTED").inc

    def service(self, _details: grpc.HandlerCallDetails) -> None:
        """Counts a call of an RPC that does not exist."""
        self._count()
