"""The list of all metrics of a process, in the form of Prometheus.

A metric is declared here and nowhere else; a test holds the dashboard to the list. Labels take few values,
all known beforehand: names of RPCs, tasks and limits, never a user, repository, path or address. What runs
often binds its labels once: `metrics.RPCS.labels(...)` costs more than counting. A value that exists anyway
is a Gauge with `set_function`; it is read when somebody asks.

The label `service` is the dits service, since `dits-server up` runs four in one process.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

# The time of a counter's first use, a second line for each, tells nobody anything.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


def _counter(name: str, about: str, *labels: str) -> Counter:
    return Counter(name, about, labels, registry=REGISTRY)


def _gauge(name: str, about: str, *labels: str) -> Gauge:
    return Gauge(name, about, labels, registry=REGISTRY)


def _histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, about, labels, registry=REGISTRY, buckets=buckets)


# Calls of RPCs. `method` is the full name without the first slash; "unknown" = no such RPC.
RPCS = _counter("dits_rpcs", "Calls that have ended, by status code", "service", "method", "code")
RPC_SECONDS = _histogram(
    "dits_rpc_seconds", "Time from the metadata of a call to its end", _SECONDS, "service", "method"
)
RPC_ERRORS = _counter("dits_rpc_errors", "Calls that failed, by ErrorReason", "service", "reason")
RPC_RECEIVED_BYTES = _counter(
    "dits_rpc_received_bytes", "Bytes of request messages", "service", "method"
)
RPC_SENT_BYTES = _counter("dits_rpc_sent_bytes", "Bytes of response messages", "service", "method")

# Limits, and how far they are reached.
SLOTS_TAKEN = _gauge(
    "dits_slots_taken", "Calls under way, by the group they count in", "service", "group"
)
SLOTS_LIMIT = _gauge("dits_slots_limit", "Most calls under way in the group", "service", "group")
BUDGET_HELD_BYTES = _gauge("dits_budget_held_bytes", "Bytes held for callers", "budget")
BUDGET_LIMIT_BYTES = _gauge("dits_budget_limit_bytes", "Most bytes held for callers", "budget")
BUDGET_WAITING = _gauge("dits_budget_waiting", "Calls that wait for bytes", "budget")

# The database.
POOL_CONNECTIONS = _gauge(
    "dits_pool_connections", "Open connections to the database", "service", "state"
)
POOL_LIMIT = _gauge("dits_pool_limit", "Most connections of the pool", "service")
POOL_WAITING = _gauge("dits_pool_waiting", "Calls that wait for a connection", "service")
TRANSACTION_RETRIES = _counter("dits_transaction_retries", "Transactions begun again", "cause")
LISTENER_CONNECTED = _gauge(
    "dits_listener_connected", "1 while notifications of the database are received"
)

# The outbox.
EVENT_LAG_SECONDS = _gauge(
    "dits_event_lag_seconds", "Age of the oldest event that a consumer has yet to read", "consumer"
)
EVENTS_CONSUMED = _counter(
    "dits_events_consumed",
    "Events that consumers were given: done, failed or dead",
    "consumer",
    "outcome",
)
DEAD_EVENTS = _gauge("dits_dead_events", "Events that a consumer gave up", "consumer")

# Jobs.
JOBS_ENDED = _counter(
    "dits_jobs_ended",
    "Attempts that ended: completed, retry, failed, cancelled, release or lost",
    "type",
    "outcome",
)
JOB_SECONDS = _histogram("dits_job_seconds", "Time that an attempt took", _SECONDS, "type")
JOB_WAIT_SECONDS = _histogram(
    "dits_job_wait_seconds", "Time from when a job was due to its start", _SECONDS, "queue"
)
JOBS_RUNNING = _gauge("dits_jobs_running", "Jobs that this process works on", "queue")
JOBS_DUE = _gauge("dits_jobs_due", "Jobs that could begin and wait, up to 10000", "queue")
DEAD_JOBS = _gauge("dits_dead_jobs", "Dead letters that nobody has requeued, up to 10000", "queue")

# Chunks.
MAINTENANCE_RUNS = _counter(
    "dits_maintenance_runs", "Runs of the maintenance that ended", "kind", "outcome"
)
MAINTENANCE_CHUNKS = _counter(
    "dits_maintenance_chunks",
    "Chunks that maintenance deleted, moved, copied, verified, healed or found lost",
    "what",
)
MAINTENANCE_BYTES = _counter(
    "dits_maintenance_bytes",
    "Stored bytes of chunks that maintenance deleted, moved, copied or verified, and of freed packs",
    "what",
)
FOREIGN_STORES = _gauge(
    "dits_foreign_stores",
    "1 if the store of a bucket is another database's: nothing is deleted",
    "bucket",
)
PRESENCE_LOOKUPS = _counter(
    "dits_presence_lookups",
    "Questions which chunks are missing, answered by a filter, the database or both",
    "answered_by",
)
PRESENCE_FILTER_BYTES = _gauge("dits_presence_filter_bytes", "Bytes of the filters in memory")

# Webhooks.
WEBHOOK_ATTEMPTS = _counter(
    "dits_webhook_attempts",
    "Requests to receivers: succeeded, refused or unanswered",
    "outcome",
)
WEBHOOK_SECONDS = _histogram(
    "dits_webhook_seconds", "Time of a request to a receiver and its answer", _SECONDS
)

# The audit log.
AUDIT_LAG_SECONDS = _gauge(
    "dits_audit_lag_seconds", "Age of the oldest audit row that is in no chain of hashes yet"
)

# The process.
LOOP_LAG_SECONDS = _histogram(
    "dits_loop_lag_seconds", "How late the event loop runs what is due", _LAG_SECONDS
)
ACCESS_CACHE = _counter(
    "dits_access_cache_lookups", "Access checks, by whether auth had to be asked", "outcome"
)
BACKGROUND_ROUNDS = _counter(
    "dits_background_rounds",
    "Rounds of background tasks: done, put_off or defect",
    "task",
    "outcome",
)
