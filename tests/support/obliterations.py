"""Short calls of ObliterationService about one repository."""

from __future__ import annotations

from typing import Any

from blake3 import blake3
from dits.chunk.v1.chunk_service_pb2 import DownloadChunksRequest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.repo.v1 import asset_pb2
from dits.repo.v1 import obliteration_service_pb2 as pb
from dits.repo.v1.tree_service_pb2 import StreamTreeRequest

from tests.support.api import Account, Api
from tests.support.jobs import wait_for
from tests.support.release import connected
from tests.support.repositories import Holding
from tests.support.trees import CHUNK, save

WHY = "the licence ended"


def film(*parts: bytes) -> bytes:
    """A content of chunks that are the same wherever they occur."""
    return b"".join(part * CHUNK for part in parts)


SECRET = film(b"s", b"h")
SHARING = film(b"h", b"o")
LARGE = b"".join(b"%04d" % n * (CHUNK // 4) for n in range(12))
FILES: dict[str, bytes | str] = {"d/secret.mov": SECRET, "d/other.mov": SHARING, "large": LARGE}


async def open_films(api: Api) -> tuple[Holding, str, str]:
    """A repository with two versions of a folder, and their commits."""
    films = await Holding.open(api)
    first = await save(api, films.owner, films.repository, FILES)
    more = FILES | {"copy.mov": SECRET, "d/note": b"1"}
    return films, first, await save(api, films.owner, films.repository, more, parent=first)


def name(data: bytes) -> str:
    """The hash of a content."""
    return blake3(data).hexdigest()


async def obliterate(
    films: Holding, path: str, data: bytes, who: Account | None = None, /, **fields: Any
) -> pb.ObliterateAssetResponse:
    """ObliterateAsset of what is at a path of the default branch."""
    wanted = {"repository": films.id, "path": path, "hash": name(data), "reason": WHY} | fields
    response: pb.ObliterateAssetResponse = await films.api.obliterations.ObliterateAsset(
        pb.ObliterateAssetRequest(**wanted), metadata=(who or films.owner).auth
    )
    return response


async def lift(
    films: Holding, path: str, data: bytes, who: Account | None = None, /, **fields: Any
) -> None:
    """LiftObliteration."""
    wanted = {"repository": films.id, "path": path, "hash": name(data)} | fields
    await films.api.obliterations.LiftObliteration(
        pb.LiftObliterationRequest(**wanted), metadata=(who or films.owner).auth
    )


async def list_obliterated(films: Holding, size: int = 0) -> list[pb.Obliteration]:
    """ListObliterations, all pages."""
    request = pb.ListObliterationsRequest(repository=films.id, page_size=size)
    listed: list[pb.Obliteration] = []
    while True:
        page = await films.api.obliterations.ListObliterations(request, metadata=films.owner.auth)
        listed += page.obliterations
        request.page_token = page.next_page_token
        if not request.page_token:
            return listed


async def stream_reasons(films: Holding, revision: str = "") -> dict[str, str]:
    """What StreamTree says is obliterated."""
    request = StreamTreeRequest(repository=films.id, revision=revision)
    stream = films.api.trees.StreamTree(request, metadata=films.owner.auth)
    return {each.hash: each.reason async for part in stream for each in part.obliterated}


async def get_asset(films: Holding, data: bytes) -> asset_pb2.Asset:
    request = asset_pb2.GetAssetRequest(repository=films.id, hash=name(data))
    return (await films.api.trees.GetAsset(request, metadata=films.owner.auth)).asset


async def has_chunk(films: Holding, data: bytes) -> bool:
    """Whether the repository gives a chunk out."""
    request = DownloadChunksRequest(repository=films.id, hashes=blake3(data).digest())
    stream = films.api.chunks.DownloadChunks(request, metadata=films.owner.auth)
    (chunk,) = [chunk async for message in stream for chunk in message.chunks]
    if chunk.HasField("failure"):
        assert chunk.failure.reason == ERROR_REASON_NOT_FOUND
    return not chunk.HasField("failure")


async def wait_for_erasure(films: Holding) -> None:
    """Returns when the jobs that were asked for have released the chunks of large files."""
    query = "SELECT id FROM jobs WHERE job_type = 'erase_chunks'"
    async with connected(films.api) as database:
        for row in await films.api.fetch(query):
            await wait_for(database, row["id"], "completed")
