"""Who calls a server in the benchmarks of cost and fairness: a user, and a witness who counts the wait."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from blake3 import blake3
from dits.auth.v1.session_service_pb2 import LoginRequest
from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub
from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.manifest_pb2 import CommitContent, Entry, Manifest, Signer, Symlink
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest, RepositorySettings
from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub

from benchmarks.server import Server

_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_TICKS = os.sysconf("SC_CLK_TCK")
_PAUSE_SECONDS = 0.02
Metadata = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class User:
    """The first account of a server, with a channel for each service and a repository."""

    server: Server
    channels: dict[str, grpc.Channel] = field(default_factory=dict)
    auth: Metadata = ()
    repository: str = ""

    def __post_init__(self) -> None:
        self.channels = {
            name: grpc.insecure_channel(address, [*_OPTIONS, ("grpc.use_local_subchannel_pool", 1)])
            for name, address in self.server.addresses.items()
        }
        request = LoginRequest(login=self.server.username, password=self.server.password)
        session = SessionServiceStub(self.channels["auth"]).Login(request).session
        self.auth = (("authorization", f"Bearer {session.token}"),)
        self.repository = self.create_repository()

    def create_repository(self) -> str:
        """Makes a repository; returns its id."""
        settings = RepositorySettings(require_lock_for_edit=False)
        request = CreateRepositoryRequest(name=f"r{time.monotonic_ns()}", settings=settings)
        stub = RepositoryServiceStub(self.channels["repo"])
        return str(stub.CreateRepository(request, metadata=self.auth).repository.id)

    def push(self, requests: Sequence[pb.PushRequest], seconds: float = 300) -> str:
        """Pushes; returns the code that it ended with."""
        try:
            stub = CommitServiceStub(self.channels["repo"])
            stub.Push(iter(requests), metadata=self.auth, timeout=seconds)
        except grpc.RpcError as error:
            return code(error)
        return "OK"


def code(error: Any) -> str:
    """Returns the name of the code that a call ended with."""
    return str(error.code().name)


def upload_chunks(user: User, chunks: dict[bytes, bytes]) -> None:
    """Uploads chunks by their hashes, in one message."""
    request = chunk_pb.UploadChunksRequest(
        repository=user.repository,
        chunks=[
            chunk_pb.UploadedChunk(
                hash=name, size=len(data), compression=chunk_pb.COMPRESSION_NONE, data=data
            )
            for name, data in chunks.items()
        ],
    )
    stub = ChunkServiceStub(user.channels["chunk"])
    for _ in stub.UploadChunks(iter([request]), metadata=user.auth):
        pass


def tree_of(entries: Sequence[Entry]) -> tuple[bytes, bytes]:
    """Returns hash and bytes of a manifest."""
    content = Manifest(entries=entries).SerializeToString(deterministic=True)
    return blake3(content).digest(), content


def link(name: str) -> Entry:
    """Returns an entry that needs no chunk."""
    return Entry(name=name, symlink=Symlink(target="x"))


def commit_of(tree: bytes, *parents: bytes, message: str = "m") -> tuple[bytes, CommitContent]:
    """Returns the hash of a commit and the commit."""
    who = Signer(name="Ada", email="ada@example.com", time_us=1_700_000_000_000_000)
    made = CommitContent(
        tree_hash=tree, parent_hashes=parents, author=who, committer=who, message=message
    )
    return blake3(made.SerializeToString(deterministic=True)).digest(), made


def push_requests(
    repository: str,
    contents: Sequence[bytes],
    commits: Sequence[CommitContent],
    head: bytes,
    branch: str = "main",
) -> list[pb.PushRequest]:
    """Returns the messages of a push that creates a branch."""
    update = pb.RefUpdate(branch=branch, new_head=head.hex())
    return [
        pb.PushRequest(header=pb.PushHeader(repository=repository)),
        *(
            pb.PushRequest(manifests=pb.PushManifests(manifests=contents[at : at + 5_000]))
            for at in range(0, len(contents), 5_000)
        ),
        *(
            pb.PushRequest(commits=pb.PushCommits(commits=commits[at : at + 5_000]))
            for at in range(0, len(commits), 5_000)
        ),
        pb.PushRequest(refs=pb.PushRefs(updates=[update])),
    ]


@dataclass(slots=True)
class Witness:
    """Another caller, who asks for a commit of its own repository all the time.

    Attributes:
        waits: seconds of each call.
        refusals: how many failed.
    """

    user: User
    waits: list[float] = field(default_factory=list)
    refusals: int = 0

    def percentile(self, share: float) -> float:
        """Returns the seconds that this share of the calls stayed below; 0 if there was no time for any."""
        if not self.waits:
            return 0.0
        ordered = sorted(self.waits)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

    @contextmanager
    def watching(self) -> Iterator[Witness]:
        """Asks as long as the block lasts."""
        self.waits, self.refusals = [], 0
        done = threading.Event()
        thread = threading.Thread(target=self._ask, args=(done,))
        thread.start()
        try:
            yield self
        finally:
            done.set()
            thread.join()

    def _ask(self, done: threading.Event) -> None:
        stub = CommitServiceStub(self.user.channels["repo"])
        request = pb.GetCommitRequest(repository=self.user.repository)
        while not done.wait(_PAUSE_SECONDS):
            begun = time.perf_counter()
            try:
                stub.GetCommit(request, metadata=self.user.auth, timeout=120)
            except grpc.RpcError:
                self.refusals += 1
            self.waits.append(time.perf_counter() - begun)


def make_witness(server: Server) -> Witness:
    """Returns a witness with a repository of one commit."""
    user = User(server)
    tree, content = tree_of([link("x")])
    head, made = commit_of(tree)
    ended = user.push(push_requests(user.repository, [content], [made], head))
    if ended != "OK":
        raise SystemExit(f"the witness cannot push: {ended}")
    return Witness(user)


def count_seconds(pid: int, *, with_ended: bool = False) -> float:
    """Returns the processor time that a process has used, with that of its ended children if asked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if with_ended else 13])) / _TICKS


@dataclass(slots=True)
class Usage:
    """What a server process uses from now on; without PostgreSQL, whose processes are others.

    Attributes:
        seconds: of processor time.
        peak_bytes: of memory more than at the beginning, at most.
    """

    pid: int
    seconds: float = 0.0
    peak_bytes: int = 0

    @contextmanager
    def measured(self) -> Iterator[Usage]:
        """Measures the block."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        begun, before = count_seconds(self.pid), self._status("VmRSS")
        yield self
        self.seconds = count_seconds(self.pid) - begun
        self.peak_bytes = max(0, self._status("VmHWM") - before)

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024
