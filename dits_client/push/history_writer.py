"""Commits that are made without a folder: of any author, time and parents; an import of a history."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from dits.repo.v1.commit_service_pb2 import (
    PushCommits,
    PushHeader,
    PushManifests,
    PushRefs,
    PushRequest,
    PushResponse,
    RefUpdate,
)
from dits.repo.v1.manifest_pb2 import CommitContent, Directory, Entry, Signer, Symlink

from dits_client.batches import split_into_batches
from dits_client.content.chunking import Cutter
from dits_client.content.manifest import encode_directory, iterate_manifests, make_file_entry
from dits_client.content.sources import Source
from dits_client.errors import ClientError, os_error
from dits_client.push.offer import make_pieces
from dits_client.push.stream import MESSAGE_BYTES, send_messages
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_text
from dits_client.transfer.upload import Uploader
from dits_client.workspace.objects import MANIFEST, Objects
from dits_client.workspace.trees import Trees
from shared.formats.canonical import FormatError
from shared.formats.commits import commit_hash
from shared.formats.manifests import check_name


class HistoryWriter:
    """Makes files, directories and commits, and pushes them with the refs that lead to them.

    Manifests and commits are held in memory until they are pushed, contents are sent at once. One thread
    uses it. An entry may be used in several directories, and a directory in several commits.
    """

    def __init__(self, repository: RepositoryClient) -> None:
        self._repository = repository
        self._objects = Objects()
        self._trees = Trees(self._objects, lambda: repository)
        self._cutter = Cutter()
        self._uploader: Uploader | None = None
        # By hash, parents first.
        self._commits: dict[str, CommitContent] = {}
        self._pushed = set[bytes]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._uploader is not None:
            self._uploader.__exit__()
            self._uploader = None

    def add_file(self, content: bytes | Path, mode: int = 0o644) -> Entry:
        """Return the entry of a file with some content, or with that of a file on the disk."""
        try:
            if isinstance(content, Path):
                source = Source(str(content), str(content))
                with content.open("rb", buffering=0) as file:
                    cut = self._cutter.cut(file.readinto, content.stat().st_size)
            else:
                source = Source("content", content=content)
                cut = self._cutter.cut(io.BytesIO(content).readinto, len(content))
        except OSError as error:
            raise os_error(error, "read", str(content)) from error
        file_entry, recipes = make_file_entry(mode, cut)
        if self._uploader is None:
            self._uploader = Uploader(self._repository).__enter__()
        self._uploader.offer_pieces(make_pieces(source, cut.list_chunks(), recipes))
        return Entry(file=file_entry)

    def add_link(self, target: str) -> Entry:
        """Return the entry of a symbolic link."""
        return Entry(symlink=Symlink(target=target))

    def add_directory(self, entries: Mapping[str, Entry]) -> Entry:
        """Return the entry of a directory with some entries by name. Raises ClientError for a bad name."""
        named = []
        for name in sorted(entries):
            try:
                check_name(name)
            except FormatError as error:
                raise ClientError(f"the name {quote_text(name)} {error.description}") from None
            entry = Entry(name=name)
            entry.MergeFrom(entries[name])
            named.append(entry)
        manifest = self._objects.add(MANIFEST, encode_directory("", named))
        return Entry(directory=Directory(manifest_hash=manifest))

    def add_commit(
        self,
        tree: Entry,
        parents: Sequence[str] = (),
        *,
        author: Signer,
        committer: Signer | None = None,
        message: str = "",
    ) -> str:
        """Return the hash of a commit of a directory. Raises ClientError if it breaks a rule."""
        commit = CommitContent(
            tree_hash=tree.directory.manifest_hash,
            parent_hashes=[bytes.fromhex(parent) for parent in parents],
            author=author,
            committer=committer or author,
            message=message,
        )
        try:
            name = commit_hash(commit)
        except FormatError as error:
            raise ClientError(f"the commit cannot be made: {error}") from None
        self._commits[name] = commit
        return name

    def push(self, updates: Sequence[RefUpdate]) -> PushResponse:
        """Push the commits that new heads lead to, and move the refs: all of it happens, or nothing.

        Other commits stay for a later push.
        """
        if self._uploader is not None:
            self._uploader.finish()
            self.__exit__()
        commits = self._choose_commits(update.new_head for update in updates)
        seen = set(self._pushed)
        manifests = [
            manifest
            for commit in commits.values()
            for manifest in iterate_manifests(self._trees.load_manifest, commit.tree_hash, seen)
        ]

        def make_messages(request_id: str) -> Iterator[PushRequest]:
            header = PushHeader(repository=self._repository.name, request_id=request_id)
            yield PushRequest(header=header)
            contents = map(self._trees.load_manifest, manifests)
            for batch in split_into_batches(contents, max_bytes=MESSAGE_BYTES, measure=len):
                yield PushRequest(manifests=PushManifests(manifests=batch))
            for part in split_into_batches(
                commits.values(), max_bytes=MESSAGE_BYTES, measure=CommitContent.ByteSize
            ):
                yield PushRequest(commits=PushCommits(commits=part))
            yield PushRequest(refs=PushRefs(updates=updates))

        response = send_messages(self._repository, make_messages)
        self._pushed = seen
        for name in commits:
            del self._commits[name]
        return response

    def _choose_commits(self, heads: Iterable[str]) -> dict[str, CommitContent]:
        """Return the commits that heads lead to, parents first."""
        wanted = set(heads)
        for name, commit in reversed(self._commits.items()):
            if name in wanted:
                wanted.update(parent.hex() for parent in commit.parent_hashes)
        return {name: commit for name, commit in self._commits.items() if name in wanted}
