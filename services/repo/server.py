"""Wiring of the repo service."""

from __future__ import annotations

from datetime import timedelta
from types import ModuleType

from dits.common.v1.job_pb2 import JobType
from dits.repo.v1 import (
    commit_service_pb2,
    event_service_pb2,
    grant_service_pb2,
    obliteration_service_pb2,
    ref_service_pb2,
    repository_service_pb2,
    transfer_service_pb2,
    tree_service_pb2,
    usage_service_pb2,
    webhook_service_pb2,
)

from services.repo.background.filter_backfill import FilterBackfill
from services.repo.background.history_release import SCHEDULE as RELEASE_HISTORY
from services.repo.background.history_release import HistoryRelease
from services.repo.background.repository_purge import SCHEDULE as PURGE_REPOSITORIES
from services.repo.background.repository_purge import RepositoryPurge
from services.repo.background.signatures import SCHEDULE as REVERIFY_SIGNATURES
from services.repo.background.signatures import make_consumer, reverify_signatures
from services.repo.background.statistics_recount import SCHEDULE as RECOUNT_STATISTICS
from services.repo.background.statistics_recount import recount_statistics
from services.repo.background.usage_measurement import SCHEDULE as MEASURE_USAGE
from services.repo.background.usage_measurement import UsageMeasurement
from services.repo.background.webhooks import SCHEDULES as WEBHOOK_SCHEDULES
from services.repo.background.webhooks import WebhookWork
from services.repo.push.recipes import RecipeReader
from services.repo.rpc.commit_service import CommitService
from services.repo.rpc.event_service import EventService
from services.repo.rpc.grant_service import GrantService
from services.repo.rpc.merge_branches import BranchMerges
from services.repo.rpc.obliteration_service import ObliterationService
from services.repo.rpc.ref_service import RefService
from services.repo.rpc.repository_service import RepositoryService
from services.repo.rpc.transfer_service import TransferService
from services.repo.rpc.tree_service import TreeService
from services.repo.rpc.usage_service import UsageService
from services.repo.rpc.webhook_owners import WebhookOwners
from services.repo.rpc.webhook_service import WebhookService
from services.repo.trees.path_finder import PathFinder
from services.repo.webhooks.addresses import AllowedNetworks
from services.repo.webhooks.lane import DeliveryLane
from services.repo.webhooks.resolver import SystemResolver
from services.repo.webhooks.sealed_secrets import COUNT_BY_KEY
from services.repo.webhooks.sender import Sender
from shared.db.pool import Database, Databases
from shared.jobs.background import Background
from shared.jobs.running_job import Handler
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.consumer_lag import ConsumerLag
from shared.outbox.event_stream import EventStream
from shared.records.idempotency import IdempotentWrites
from shared.records.sealed_columns import report_other_keys
from shared.rpc.access import RemoteAccess
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.peers import Peer, Peers
from shared.runtime.config import Settings
from shared.runtime.memory import consider_holder
from shared.runtime.server_key import ServerKey
from shared.server import Runtime, ServiceServer

NEEDS = ("auth", "chunk")
# A push at its limits takes half of the default budget.
PUSH_SHARE = 2


async def build(runtime: Runtime) -> ServiceServer:
    """Returns the repo service, ready to start."""
    settings, key = runtime.settings, runtime.key
    database = await runtime.connect("repo")
    await report_other_keys(database, key, COUNT_BY_KEY)
    peers = Peers(runtime.addresses, NEEDS)
    access = RemoteAccess(peers.channel("auth"))
    access.listen(runtime.listener)
    databases = Databases(database)
    signal = ChangeSignal(databases)
    signal.receive_hints(runtime.listener)
    recipes = RecipeReader(Peer(peers, "chunk"))
    budget = _open_push_budget(settings)
    writes = IdempotentWrites(database, key)
    repositories = RepositoryService(database, databases, writes, key, settings)
    events = EventService(database, databases, key, EventStream(signal), cell=settings.cell)
    commits = CommitService(databases, key, recipes, budget)
    refs = RefService(databases, key, BranchMerges(databases, key, recipes, budget))
    webhooks, work = _build_webhooks(runtime, database, databases, signal)
    files = {
        "RepositoryService": (repository_service_pb2, repositories),
        "RefService": (ref_service_pb2, refs),
        "CommitService": (commit_service_pb2, commits),
        "EventService": (event_service_pb2, events),
        "GrantService": (grant_service_pb2, GrantService(databases, writes, key)),
        "TransferService": (
            transfer_service_pb2,
            TransferService(database, databases, writes, key),
        ),
        **_build_trees(databases, key, recipes, budget),
        "UsageService": (usage_service_pb2, UsageService(database, databases, key, settings.cell)),
        "WebhookService": (webhook_service_pb2, webhooks),
    }
    servicers = [(file.DESCRIPTOR.services_by_name[name], it) for name, (file, it) in files.items()]
    background = _make_background(settings, databases, signal, work)
    server = ServiceServer(
        "repo", runtime, database, access, servicers, background=background, peers=peers
    )
    server.end_streams = signal.stop
    return server


def _build_trees(
    databases: Databases, key: ServerKey, recipes: RecipeReader, budget: ByteBudget
) -> dict[str, tuple[ModuleType, object]]:
    """Returns what reads trees, and what takes contents out of them, each with its proto."""
    finder = PathFinder(databases)
    obliterations = ObliterationService(databases, key, finder, recipes, budget)
    return {
        "ObliterationService": (obliteration_service_pb2, obliterations),
        "TreeService": (tree_service_pb2, TreeService(databases, key, finder, recipes, budget)),
    }


def _open_push_budget(settings: Settings) -> ByteBudget:
    """Returns the memory that pushes share."""
    budget = ByteBudget(settings.push_memory_bytes, share=PUSH_SHARE)
    budget.export("pushes")
    consider_holder(budget)
    return budget


def _make_background(
    settings: Settings, databases: Databases, signal: ChangeSignal, webhooks: WebhookWork
) -> Background:
    tasks = [FilterBackfill(databases).task(), ConsumerLag(databases).task(), signal.task()]
    jobs: dict[JobType.ValueType, Handler] = {
        JobType.JOB_TYPE_MEASURE_USAGE: UsageMeasurement(settings.cell).handle,
        JobType.JOB_TYPE_PURGE_REPOSITORIES: RepositoryPurge(
            timedelta(seconds=settings.chunk_grace_seconds)
        ).handle,
        JobType.JOB_TYPE_RECOUNT_STATISTICS: recount_statistics,
        JobType.JOB_TYPE_RELEASE_HISTORY: HistoryRelease(
            timedelta(seconds=settings.unreachable_seconds)
        ).handle,
        JobType.JOB_TYPE_REVERIFY_SIGNATURES: reverify_signatures,
    }
    return Background(
        [*tasks, webhooks.task(), make_consumer(databases, signal).task()],
        jobs={**jobs, **webhooks.jobs()},
        schedules=[
            MEASURE_USAGE, PURGE_REPOSITORIES, RECOUNT_STATISTICS, RELEASE_HISTORY,
            REVERIFY_SIGNATURES,
            *WEBHOOK_SCHEDULES,
        ],
    )  # fmt: skip


def _build_webhooks(
    runtime: Runtime, database: Database, databases: Databases, signal: ChangeSignal
) -> tuple[WebhookService, WebhookWork]:
    """Returns what manages webhooks, and what sends to them."""
    settings, key = runtime.settings, runtime.key
    allowed = AllowedNetworks(settings.webhook_allow)
    sender = Sender(allowed, SystemResolver().resolve_host, ca_file=settings.webhook_ca_file)
    owners = WebhookOwners(database, databases, settings.cell)
    service = WebhookService(owners, IdempotentWrites(database, key), key, allowed)
    return service, WebhookWork(databases, signal, DeliveryLane(key, allowed, sender))
