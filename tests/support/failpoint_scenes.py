"""The work of the chunk service that is killed, each with what it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from dits.chunk.v1 import tier_service_pb2 as tier_pb
from dits.common.v1.job_pb2 import (
    ApplyLifecyclePayload,
    CheckInventoryPayload,
    CheckPlacementPayload,
    CollectGarbagePayload,
    CompactPacksPayload,
    ReplicateChunksPayload,
    ScrubChunksPayload,
)

from services.chunk.stores.local_store import LocalStore
from services.chunk.stores.s3_writer import PART_BYTES
from tests.support.chunks import Shelf, digest, some
from tests.support.collection import end_claims, reference
from tests.support.failpoint_stage import Act, Stage
from tests.support.regions import set_policy

_UNKNOWN = "ff" * 16


async def _store(stage: Stage, *regions: str) -> tuple[Shelf, bytes]:
    """A repository with a chunk that it refers to, which lies in these regions."""
    shelf, data = await Shelf.open(stage.api), some()
    if regions:
        await set_policy(shelf, *regions)
    await shelf.put(data)
    await reference(shelf, data)
    if regions:
        await stage.do_job(shelf, ReplicateChunksPayload())
    return shelf, data


def _list(shelf: Shelf, *data: bytes) -> dict[str, Any]:
    """The arguments of an upload."""
    chunks = [(digest(each).hex(), each.hex()) for each in data]
    return {"repository": shelf.repo.id, "chunks": chunks}


async def upload(stage: Stage) -> Act:
    """Some chunks are new to everybody, one is not."""
    _, known = await _store(stage)
    shelf, data = await Shelf.open(stage.api), [some(), some(), known]
    return Act("upload", shelf, _list(shelf, *data), wanted=data)


async def upload_in_parts(stage: Stage) -> Act:
    """A pack that is put in three parts on an S3 server."""
    shelf, data = await Shelf.open(stage.api), some(2 * PART_BYTES + 1)
    return Act("upload", shelf, _list(shelf, data), wanted=[data])


async def refer(stage: Stage) -> Act:
    """What was uploaded is referred to."""
    shelf, data = await Shelf.open(stage.api), some()
    await shelf.put(data)
    return Act("reference", shelf, _list(shelf, data), kept=[data])


async def collect(stage: Stage) -> Act:
    """A dead chunk beside a live one, and one with a copy."""
    shelf, data = await _store(stage)
    beside, dead = some(), some()
    await set_policy(shelf, "far", "local")
    await shelf.put(dead, beside)
    await reference(shelf, beside)
    await stage.do_job(shelf, ReplicateChunksPayload())
    await end_claims(stage.api, shelf)
    payload = CollectGarbagePayload()
    return await stage.plan_job(shelf, payload, kept=[data, beside], gone=[dead])


async def compact(stage: Stage) -> Act:
    """A pack that is half dead."""
    act = await collect(stage)
    await stage.do(act)
    return await stage.plan_job(act.shelf, CompactPacksPayload(), kept=act.kept)


async def copy(stage: Stage) -> Act:
    """A chunk is wanted in another region."""
    shelf, data = await _store(stage)
    await set_policy(shelf, "far", "local")
    await stage.do_job(shelf, CheckPlacementPayload(repository_id=shelf.repo.id))
    payload = ReplicateChunksPayload()
    return await stage.plan_job(shelf, payload, kept=[data], buckets=["far", "local"])


async def leave(stage: Stage) -> Act:
    """A region is left."""
    shelf, data = await _store(stage, "far", "local")
    await stage.api.fetch(
        "UPDATE repository_settings SET regions = '{far}' WHERE repo_id = $1::uuid", shelf.repo.id
    )
    payload = CheckPlacementPayload(repository_id=shelf.repo.id)
    return await stage.plan_job(shelf, payload, kept=[data], buckets=["far"])


async def heal(stage: Stage) -> Act:
    """A chunk is damaged, and another region has it."""
    shelf, data = await _store(stage, "far", "local")
    query = "SELECT pack_key FROM chunks WHERE hash = $1"
    key = await stage.api.value(query, digest(data).hex())
    path = stage.pack_path(key)
    path.write_bytes(bytes(len(path.read_bytes())))
    payload = ScrubChunksPayload(everything=True)
    regions = ["far", "local"]
    return await stage.plan_job(shelf, payload, kept=[data], damaged=[key], buckets=regions)


async def cool(stage: Stage) -> Act:
    """Nobody has read a chunk for long."""
    shelf, data = await _store(stage)
    await stage.api.fetch(
        "UPDATE chunk_refs SET last_seen_at = now() - interval '100 days' WHERE repo_id = $1::uuid",
        shelf.repo.id,
    )
    return await stage.plan_job(
        shelf, ApplyLifecyclePayload(), cold=[data], buckets=["local.glacier"]
    )


async def warm(stage: Stage) -> Act:
    """A chunk in the archive is to be hot again."""
    shelf, data = await _store(stage)
    colder = tier_pb.SetStorageClassRequest(
        repository=shelf.repo.id,
        hashes=digest(data),
        storage_class=tier_pb.STORAGE_CLASS_GLACIER,
    )
    await stage.api.tiers.SetStorageClass(colder, metadata=shelf.who.auth)
    await stage.do_job(shelf, ApplyLifecyclePayload())
    colder.storage_class = tier_pb.STORAGE_CLASS_STANDARD
    answer = await stage.api.tiers.SetStorageClass(colder, metadata=shelf.who.auth)
    job = {"job": answer.restore.job_id}
    return Act("job", shelf, job, wanted=[data], buckets=["local"])


async def inventory(stage: Stage) -> Act:
    """The store has an object that nobody knows."""
    shelf, data = await _store(stage)
    path = stage.pack_path(f"0/{_UNKNOWN}")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(some())
    return await stage.plan_job(shelf, CheckInventoryPayload(), kept=[data])


async def purge(stage: Stage) -> Act:
    """A repository was deleted; another one has one of its chunks."""
    other, shared = await _store(stage)
    shelf = await Shelf.open(stage.api)
    await shelf.put(shared, some())
    await reference(shelf, shared)
    await stage.delete(UUID(shelf.repo.id))
    return Act("purge", other, {"repository": shelf.repo.id}, kept=[shared])


async def stamp(stage: Stage) -> Act:
    """The last stamp is a minute old; that the store is still ours shows by what is deleted."""
    shelf, data = await _store(stage)
    await stage.api.fetch("UPDATE store_stamps SET stamped_at = stamped_at - interval '2 minutes'")
    return Act("reap", shelf, kept=[data])


async def reap(stage: Stage) -> Act:
    """An upload was killed when it was nearly done, and a pack is empty."""
    act = await collect(stage)
    await stage.do(act)
    killed = await upload(stage)
    assert await stage.is_killed(killed, 4)
    return Act("reap", act.shelf, kept=act.kept, gone=act.gone)


async def move(stage: Stage) -> Act:
    """A pack still lies in the second store of the region."""
    shelf, data = await _store(stage)
    key = await stage.api.value("SELECT pack_key FROM chunks WHERE hash = $1", digest(data).hex())
    assert stage.settings.second_store is not None
    old = LocalStore(Path(stage.settings.second_store), "local", "local")
    writer = old.open_writer(key)
    await writer.write_parts([stage.pack_path(key).read_bytes()])
    await writer.seal()
    stage.pack_path(key).unlink()
    return Act("move", shelf, kept=[data], damaged=[key])


SCENES: dict[str, Callable[[Stage], Awaitable[Act]]] = {
    each.__name__: each
    for each in (
        upload, refer, collect, compact, copy, leave, heal, cool, warm, inventory, purge, reap,
        stamp,
    )
}  # fmt: skip
# Those that put or delete objects, beside `upload`.
IN_A_BUCKET = (upload_in_parts, compact, copy, reap)
