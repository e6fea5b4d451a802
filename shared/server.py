"""The frame of every service: a gRPC server, its pool, its background tasks, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import grpc
import structlog
from dits.common.v1 import job_service_pb2
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from shared.db.listen import Listener
from shared.db.pool import Database
from shared.db.session_check import refuse_unfit_sessions
from shared.jobs.background import Background
from shared.jobs.catalog import QUEUES, queues_of
from shared.jobs.job_service import JobService
from shared.jobs.job_watch import JobWatch
from shared.records.deployment import join_deployment
from shared.records.usage import UsageStore
from shared.rpc.call import AccessResolver
from shared.rpc.chain import Chain
from shared.rpc.health import Health
from shared.rpc.limits import MAX_STREAM_MESSAGE_BYTES, Limits
from shared.rpc.peer_address import PeerAddresses
from shared.rpc.peers import Peers
from shared.rpc.policy import INFRASTRUCTURE
from shared.rpc.reflection import Reflection
from shared.rpc.rpc_metrics import UnknownMethods
from shared.rpc.usage import UsageCounters
from shared.runtime.background import BackgroundTask
from shared.runtime.config import Settings
from shared.runtime.process import cannot_listen
from shared.runtime.server_key import ServerKey
from shared.runtime.waiting import end_tasks

log = structlog.get_logger(__name__)

_JOB_SERVICE = job_service_pb2.DESCRIPTOR.services_by_name["JobService"]
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION_V1ALPHA = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
# A message may exceed the limit of its method by its framing; the chain holds the exact limits.
_SLACK = 1 << 20
# Ends the names of sessions of processes that only work on jobs.
WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What every service is built from.

    Attributes:
        settings: the operator's settings.
        dsn: of the database.
        key: the server's key.
        listener: takes the notifications of the database, for all servers of the process.
        addresses: host:port of the services that others call, by name.
        strict: for tests: an error whose reason the RPC does not declare is a defect.
        queues: only work on jobs of these queues, and serve nothing; None = serve, and work on all queues
            of the service unless the settings say no.
    """

    settings: Settings
    dsn: str
    key: ServerKey
    listener: Listener
    addresses: dict[str, str] = field(default_factory=dict)
    strict: bool = False
    queues: frozenset[str] | None = None

    @property
    def work_queues(self) -> frozenset[str]:
        """The queues that this process may work on."""
        if self.queues is not None:
            return self.queues
        return frozenset(QUEUES if self.settings.worker else ())

    async def connect(self, service: str, settings: Mapping[str, str] | None = None) -> Database:
        """Opens the pool of a service. By the name of a session it shows whether callers wait for it.

        Raises StartError if the service could not work on what the database gives it, and ConfigError if it
        is the database of servers of another cell, or with another key.
        """
        name = service if self.queues is None else f"{service} {WORKER}"
        named = {"application_name": f"dits-{name}", **(settings or {})}
        size = self.settings.pool_size
        database = await Database.connect(self.dsn, service=service, size=size, settings=named)
        await refuse_unfit_sessions(database)
        await join_deployment(database, self.settings.cell, self.key)
        return database


# Limits that keep one bad client from hurting the others.
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_STREAM_MESSAGE_BYTES + _SLACK),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 << 10),
    # A client that opens more before it knows the limit sees UNAVAILABLE: far above honest use.
    ("grpc.max_concurrent_streams", 500),
    # Requests are media, which is compressed already; a bomb would unfold before anybody is asked.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # Without this, a second server on the port would silently share it.
    ("grpc.so_reuseport", 0),
    ("grpc.max_connection_idle_ms", 15 * 60 * 1000),
    # As in the client: bytes that nobody acknowledges end a connection; an answer to a ping has 60 seconds.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 5),
)


def _infrastructure(
    chain: Chain, health: Health, services: Sequence[str]
) -> list[grpc.GenericRpcHandler]:
    """Health and reflection, which every server has."""
    listed = [*services, _HEALTH.full_name, _REFLECTION_V1ALPHA.full_name, _REFLECTION_V1]
    reflection = Reflection(listed)
    return [
        chain.handlers(_HEALTH, health, policy=INFRASTRUCTURE),
        chain.handlers(_REFLECTION_V1ALPHA, reflection, policy=INFRASTRUCTURE),
        # The same messages under the name that newer clients ask for first.
        chain.handlers(_REFLECTION_V1ALPHA, reflection, name=_REFLECTION_V1, policy=INFRASTRUCTURE),
    ]


class ServiceServer:
    """One service, listening.

    Attributes:
        end_streams: ends the calls that go on for ever, when the server begins to stop.
    """

    end_streams: Callable[[], None] | None = None

    def __init__(
        self,
        name: str,
        runtime: Runtime,
        database: Database,
        resolver: AccessResolver,
        servicers: Sequence[tuple[ServiceDescriptor, object]],
        *,
        background: Background | None = None,
        peers: Peers | None = None,
        await_ends: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self.name = name
        self.port = 0
        self._runtime = runtime
        self._database = database
        self._usage_store = UsageStore(database, UsageCounters())
        self._background = background or Background()
        queues, settings = runtime.work_queues, runtime.settings
        self._worker = self._background.make_worker(name, database, queues, settings)
        self._job_watch = JobWatch(database)
        jobs = JobService(database, queues_of(name), resolver, runtime.key, self._job_watch)
        servicers = [*servicers, (_JOB_SERVICE, jobs)]
        self._peers = peers
        self._await_ends = await_ends
        self._tasks: list[asyncio.Task[None]] = []
        self._is_listening = False
        self._health = Health(descriptor.full_name for descriptor, _ in servicers)
        self._server = grpc.aio.server(options=_OPTIONS)
        chain = Chain(
            resolver,
            Limits.of(settings),
            PeerAddresses(settings.trusted_proxies),
            service=name,
            cell=settings.cell_of(name),
            strict=runtime.strict,
            usage=self._usage_store.counters,
        )
        self._add_handlers(chain, servicers)

    def _add_handlers(
        self, chain: Chain, servicers: Sequence[tuple[ServiceDescriptor, object]]
    ) -> None:
        self._server.add_generic_rpc_handlers(
            [
                *(chain.handlers(descriptor, servicer) for descriptor, servicer in servicers),
                *_infrastructure(chain, self._health, [item[0].full_name for item in servicers]),
                UnknownMethods(self.name),
            ]
        )

    async def start(self) -> None:
        """Begins to serve and to work. Raises StartError if the port is taken."""
        tasks = [BackgroundTask("send hints", self._database.hints.send_hints, 0)]
        if self._runtime.queues is None:
            await self._serve()
            tasks += [
                *self._background.tasks,
                self._usage_store.task(),
                self._job_watch.task(),
            ]
        self._tasks = [asyncio.create_task(task.run()) for task in tasks]
        if self._worker is not None:
            self._worker.receive_hints(self._runtime.listener)
            self._worker.start()
        self._runtime.listener.start()
        self._is_listening = True

    async def _serve(self) -> None:
        settings = self._runtime.settings
        port = settings.port(self.name)
        try:
            self.port = self._server.add_insecure_port(f"{settings.host}:{port}")
        except RuntimeError as error:
            what = f"The {self.name} service cannot listen"
            raise cannot_listen(what, settings.host, port, f"--{self.name}-port") from error
        await self._server.start()
        key = self._runtime.key.id.hex()
        log.info("listening", service=self.name, host=settings.host, port=self.port, key=key)

    async def stop(self) -> None:
        """Lets running calls and jobs finish for `drain_seconds`, then ends everything."""
        seconds = self._runtime.settings.drain_seconds
        self._health.drain()
        if self.end_streams is not None:
            self.end_streams()
        ends = [self._server.stop(seconds)]
        if self._worker is not None:
            ends.append(self._worker.stop(seconds))
        await asyncio.gather(*ends)
        for await_end in self._await_ends:
            await await_end()
        await end_tasks(self._tasks)
        await self._usage_store.store_last()
        if self._is_listening:
            await self._runtime.listener.stop()
        if self._peers is not None:
            await self._peers.close()
        await self._database.close()
