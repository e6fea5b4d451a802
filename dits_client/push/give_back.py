"""Giving an obliterated content back: its chunks are sent again, then the obliteration is lifted."""

import os
import time
from pathlib import Path

from dits.common.v1.error_reason_pb2 import ERROR_REASON_CHUNKS_MISSING
from dits.repo.v1.obliteration_service_pb2 import LiftObliterationRequest
from dits.repo.v1.obliteration_service_pb2_grpc import ObliterationServiceStub
from dits.repo.v1.tree_service_pb2 import GetEntryRequest

from dits_client.errors import ClientError, RemoteError, os_error
from dits_client.progress import Progress
from dits_client.push.offer import make_pieces
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_text
from dits_client.transfer.upload import Uploader
from dits_client.workspace.read_files import ReadResult, UnreadFile, read_files

# The server takes the chunks of a large file batch by batch.
TIMEOUT = 1800.0
# How often the chunks are sent at most: a job of the server may still take away some of them.
MAX_ATTEMPTS = 3


def give_back_content(repository: RepositoryClient, revision: str, path: str, source: str) -> None:
    """Send the file `source` for what was at a path, and lift the obliteration. Raises ClientError."""
    request = GetEntryRequest(repository=repository.name, revision=revision, path=path)
    wanted = repository.call(repository.trees.GetEntry, request).stored.file
    found = _read_file(source)
    if found.entry.file.hash != wanted.hash:
        raise ClientError(f"{quote_text(source)} has another content than {quote_text(path)} had")
    lift = LiftObliterationRequest(
        repository=repository.name, revision=revision, path=path, hash=wanted.hash.hex()
    )
    stub = ObliterationServiceStub(repository.repo_channel)
    for attempts_left in reversed(range(MAX_ATTEMPTS)):
        _upload(repository, found)
        try:
            repository.call(stub.LiftObliteration, lift, TIMEOUT)
        except RemoteError as error:
            # The server was still taking away chunks that it had when it was asked.
            if error.reason != ERROR_REASON_CHUNKS_MISSING or not attempts_left:
                raise
        else:
            return


def _upload(repository: RepositoryClient, found: ReadResult) -> None:
    with Uploader(repository) as uploader:
        uploader.offer_pieces(make_pieces(found.source, found.cut.list_chunks(), found.recipes))
        uploader.finish()


def _read_file(source: str) -> ReadResult:
    try:
        size = Path(source).stat().st_size
    except OSError as error:
        raise os_error(error, "read", source) from error
    results: list[ReadResult] = []

    def use(_: UnreadFile, found: ReadResult | None) -> None:
        results.extend([found] if found is not None else [])

    stage = Progress().start_stage("Reading", size)
    # Files of folders are read without following links; this one the user named.
    unread = UnreadFile(source, os.path.realpath(source), size)
    read_files([unread], time.time_ns(), use, stage, lambda: None)
    if not results:
        raise ClientError(f"{quote_text(source)} vanished")
    return results[0]
