"""What a server holds before it is attacked, and the stubs to attack it with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from blake3 import blake3
from dits.auth.v1.organization_service_pb2 import CreateOrganizationRequest
from dits.auth.v1.team_service_pb2 import CreateTeamRequest
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest
from dits.repo.v1.repository_service_pb2 import Repository

from services.suite import Suite
from shared.formats.commits import commit_hash
from tests.fuzz.server import Server
from tests.fuzz.values import Known
from tests.support.api import Account, Api
from tests.support.trees import build, commit, push, update, upload


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """What Api wants to know of a suite that runs in another process."""

    addresses: dict[str, str]


@asynccontextmanager
async def remote_api(server: Server, dsn: str) -> AsyncIterator[Api]:
    """Stubs for a server of another process."""
    api = Api(cast(Suite, _Elsewhere(server.addresses)), dsn)
    try:
        yield api
    finally:
        await api.close()


@dataclass(slots=True)
class World:
    """Two people, each with a repository with some history, and a witness.

    Attributes:
        ada: most calls are hers, and the locks.
        bob: has a repository that Ada cannot see.
        reader: Ada with a token that may only read.
        witness: has a repository, too, which no call names.
        witnessed: that repository.
    """

    ada: Account
    bob: Account
    reader: Account
    repository: Repository
    witness: Account
    witnessed: Repository
    known: Known

    async def renew_credentials(self, api: Api) -> None:
        """Gives everybody a new credential: calls may have ended the old one."""
        self.ada = await api.session(self.ada)
        self.bob = await api.session(self.bob)
        self.reader = await api.api_token(self.ada, "repo:read")


async def make_world(api: Api) -> World:
    """Fills a server with a little of everything."""
    ada, bob = await api.account("ada-fuzz"), await api.account("bob-fuzz")
    reader = await api.api_token(ada, "repo:read")
    repository = await api.repository(ada, "films")
    others = await api.repository(bob, "games")
    known = Known()
    known.add("repository", *[repository.id] * 6, "ada-fuzz/films", "ADA-FUZZ/films", others.id)
    known.add("user", ada.username, bob.username, "nobody")
    known.add("email", "ada-fuzz@example.com", "new@example.com")
    known.add("scope", "repo:read", "repo:write", "user:read", "lock:write")
    known.add("pattern", "push", "lock.*", "branch.created", "*")
    known.add("url", "https://ci.invalid/hook", "https://ci.invalid:8443/?a=b")
    known.add("secret", "a-secret-of-the-fuzzer")
    known.add("branch", "main", "main", "side", "feature/one")
    for who, name in ((ada, "fuzz-studio"), (bob, "fuzz-others")):
        known.add("organization", name, *[await _add_organization(api, who, name)] * 3)
    known.add("team", "art")
    for owner, repo in ((ada, repository), (bob, others)):
        await _add_history(api, owner, repo, known)
    await _add_locks(api, ada, repository, known)
    tokens = await api.fetch("SELECT id FROM api_tokens")
    known.add("token_id", *(str(row["id"]) for row in tokens))
    job = "SELECT enqueue_job('auth', 'purge_login_throttles', '{}', p_requested_by => $1)"
    known.add("job_id", *[str(await api.value(job, who.id)) for who in (ada, ada, bob)])
    witness = await api.account("witness")
    witnessed = await api.repository(witness, "quiet")
    await _add_history(api, witness, witnessed, Known())
    return World(ada, bob, reader, repository, witness, witnessed, known)


async def _add_organization(api: Api, owner: Account, name: str) -> str:
    """Adds an organisation with a team; returns its id."""
    request = CreateOrganizationRequest(name=name)
    made = await api.organizations.CreateOrganization(request, metadata=owner.auth)
    team = CreateTeamRequest(organization=name, name="art")
    await api.teams.CreateTeam(team, metadata=owner.auth)
    organization_id: str = made.organization.id
    return organization_id


async def _add_history(api: Api, who: Account, repository: Repository, known: Known) -> None:
    """Adds three commits on main, the second also on another branch."""
    head = ""
    for number in range(3):
        files: dict[str, bytes | str] = {
            f"scenes/{i}/shot{j}.exr": f"{number}{i}{j}".encode() * 500
            for i in range(3)
            for j in range(4)
        }
        tree = build({**files, "README.md": f"version {number}".encode(), "link": "README.md"})
        await upload(api, who, repository, tree.chunks)
        made = commit(tree, *([head] if head else []), message=f"version {number}\n\nMore.")
        name = commit_hash(made)
        moves = [update("main", head, name)]
        if number == 1:
            moves.append(update("side", "", name))
        await push(api, who, repository, [made], moves, [tree])
        head = name
        known.add("path", *files, "scenes/", "scenes/1/", "README.md", "link")
        known.add("commit", name)
        known.add("commit_digest", bytes.fromhex(name))
        known.add("tree_digest", bytes.fromhex(tree.root))
        known.add("manifest", *tree.manifests)
        known.add("manifest_hash", *map(bytes.fromhex, tree.manifests))
        known.add("manifests_packed", *map(bytes.fromhex, tree.manifests))
        known.add("manifest_bytes", *tree.manifests.values())
        known.add("chunks_packed", *tree.chunks, blake3(b"nowhere").digest())
        known.add("digest", *tree.chunks)


async def _add_locks(api: Api, who: Account, repository: Repository, known: Known) -> None:
    request = AcquireLocksRequest(
        repository=repository.id, paths=["scenes/0/shot0.exr", "scenes/1/", "README.md"]
    )
    response: Any = await api.locks.AcquireLocks(request, metadata=who.auth)
    known.harvest(response)
    assert known.values["lock_id"]
