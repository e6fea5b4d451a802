"""A file of any revision, written somewhere outside of the folder."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from blake3 import blake3
from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.repo.v1.manifest_pb2 import File
from dits.repo.v1.tree_service_pb2 import GetEntriesRequest

from dits_client.checkout.gone_files import refuse_gone_file
from dits_client.checkout.sparse import write_sparsely
from dits_client.checkout.switch import missing_branch
from dits_client.disk.disks import get_disk
from dits_client.disk.syncing import sync_descriptor
from dits_client.errors import ClientError, RemoteError, os_error
from dits_client.progress import Progress
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import name_revision, quote_text
from dits_client.transfer.download import Downloader


def find_file(remote: RepositoryClient, named: str, revision: str) -> tuple[str, File]:
    """Return path and entry of a file that is named `PATH` or `PATH@REVISION`.

    A path with `@` in its name is found at `revision` as it is. Raises ClientError if there is none.
    """
    path, _, wanted = named.rpartition("@")
    if (file := _get_file(remote, named, revision)) is not None:
        return named, file
    if not (path and wanted):
        raise _missing_file(named, revision)
    if (file := _get_file(remote, path, wanted)) is not None:
        return path, file
    raise _missing_file(path, wanted)


def _missing_file(path: str, revision: str) -> ClientError:
    return ClientError(f"there is no file {quote_text(path)} in {name_revision(revision)}")


def _get_file(remote: RepositoryClient, path: str, revision: str) -> File | None:
    """Return the entry of a file; None = there is none. Raises ClientError if there is no such revision."""
    request = GetEntriesRequest(
        repository=remote.name, revision=revision, paths=[path], with_stored=True
    )
    try:
        entries = remote.call(remote.trees.GetEntries, request).entries
    except RemoteError as error:
        missing = error.details.resource
        if error.reason != ERROR_REASON_NOT_FOUND or error.lacks_repository:
            raise
        if missing is not None and missing.type == "revision":
            raise missing_branch(remote, revision, "branch, tag or commit") from None
        return None
    if len(entries) != 1:
        raise ClientError("the server did not answer for the path")
    (answer,) = entries
    refuse_gone_file(path, answer.entry)
    return answer.stored.file if answer.stored.HasField("file") else None


def get_file(
    remote: RepositoryClient, file: File, output: Path | None, progress: Progress | None = None
) -> None:
    """Write a file to a new path, or to stdout. Raises ClientError, and leaves nothing there."""
    stage = (progress or Progress()).start_stage("Writing", file.size)
    contents = _iterate_contents(remote, file)
    if output is None:
        for content in contents:
            sys.stdout.buffer.write(content)
            stage.advance(len(content))
        return
    if os.path.lexists(output):
        raise ClientError(f"{quote_text(output)} is there already")
    try:
        descriptor, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name[:32]}-")
        try:
            try:
                for content in contents:
                    write_sparsely(descriptor, content)
                    stage.advance(len(content))
                os.ftruncate(descriptor, file.size)
                sync_descriptor(descriptor)
            finally:
                os.close(descriptor)
            if get_disk().keeps_modes:
                Path(temporary).chmod(file.mode)
            _move_to_new(Path(temporary), output)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise os_error(error, "write", str(output)) from error


def _move_to_new(temporary: Path, output: Path) -> None:
    """Give a file its name, which may be taken after hours of work. Raises ClientError, OSError."""
    try:
        output.hardlink_to(temporary)
    except FileExistsError:
        raise ClientError(f"{quote_text(output)} was made meanwhile: it stays") from None
    except OSError:
        # Not every disk has links.
        if os.path.lexists(output):
            raise ClientError(f"{quote_text(output)} was made meanwhile: it stays") from None
        temporary.replace(output)
    else:
        temporary.unlink()


def _iterate_contents(remote: RepositoryClient, file: File) -> Iterator[bytes]:
    """Yield the chunks of a file. Raises ClientError at the end if they are not its content."""
    downloader, whole = Downloader(remote, lambda _: None), blake3()
    (chunks,) = downloader.fetch_chunk_lists([file])
    for content in downloader.fetch_chunks(chunks):
        whole.update(content)
        yield content
    if whole.digest() != file.hash:
        raise ClientError("the file was damaged on its way: try again")
