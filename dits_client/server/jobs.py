"""Jobs of a server: every service knows those of its own queues, so all of them are asked."""

import heapq
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from uuid import uuid4

from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.common.v1.job_pb2 import Job
from dits.common.v1.job_service_pb2 import (
    CancelJobRequest,
    GetJobRequest,
    ListJobsRequest,
    RequeueDeadLetterRequest,
    WatchJobRequest,
)
from dits.common.v1.job_service_pb2_grpc import JobServiceStub

from dits_client.errors import RemoteError
from dits_client.server.client import Client
from dits_client.server.endpoints import Endpoints


class Jobs:
    """The jobs of all services at some addresses."""

    def __init__(self, client: Client, endpoints: Endpoints) -> None:
        self._client = client
        addresses = (endpoints.auth, endpoints.repo, endpoints.chunk, endpoints.lock)
        # One address may serve all of them.
        self._stubs = [
            JobServiceStub(client.channels.get(address)) for address in dict.fromkeys(addresses)
        ]

    def list_jobs(self, request: ListJobsRequest) -> Iterator[Job]:
        """Yield the jobs of all services, newest first."""
        lists = [self._list(stub, request) for stub in self._stubs]
        merged = heapq.merge(*lists, key=attrgetter("id"), reverse=True)
        # Services with the same database know some of the same jobs.
        for _, same in groupby(merged, attrgetter("id")):
            yield next(same)

    def get_job(self, job_id: str) -> Job:
        """Return a job. Raises RemoteError."""
        return self._find(job_id)[1]

    def watch_job(self, job_id: str) -> Iterator[Job]:
        """Yield a job whenever it changes, until it has ended. Raises RemoteError."""
        stub, _ = self._find(job_id)
        request = WatchJobRequest(job_id=job_id)
        call = stub.WatchJob(request, metadata=self._client.metadata)
        for response in self._client.read_stream(call):
            yield response.job

    def cancel_job(self, job_id: str) -> Job:
        """Cancel a job, and return it. Raises RemoteError."""
        stub, _ = self._find(job_id)
        return self._client.call(stub.CancelJob, CancelJobRequest(job_id=job_id)).job

    def requeue_job(self, job_id: str) -> Job:
        """Begin a new job with the work of one that has failed, and return it. Raises RemoteError."""
        stub, _ = self._find(job_id)
        request = RequeueDeadLetterRequest(job_id=job_id, request_id=str(uuid4()))
        return self._client.call(stub.RequeueDeadLetter, request).job

    def _list(self, stub: JobServiceStub, request: ListJobsRequest) -> Iterator[Job]:
        own = ListJobsRequest()
        own.CopyFrom(request)
        for page in self._client.list_pages(stub.ListJobs, own):
            yield from page.jobs

    def _find(self, job_id: str) -> tuple[JobServiceStub, Job]:
        """Return the service that knows a job, and the job."""
        request = GetJobRequest(job_id=job_id)
        for stub in self._stubs[:-1]:
            try:
                return stub, self._client.call(stub.GetJob, request).job
            except RemoteError as error:
                if error.reason != ERROR_REASON_NOT_FOUND:
                    raise
        return self._stubs[-1], self._client.call(self._stubs[-1].GetJob, request).job
