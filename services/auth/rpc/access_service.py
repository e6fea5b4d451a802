"""Access decisions for the other services, and for clients that ask what a credential can do."""

from __future__ import annotations

from dits.auth.v1 import access_service_pb2 as pb
from google.protobuf import duration_pb2

from services.auth.access.accessible_repositories import (
    describe_repository,
    list_accessible_repositories,
)
from services.auth.access.batches import answer_check, find_rights, parse_checks
from services.auth.access.cells import find_cell, locate_cell
from services.auth.access.current_credential import describe_credential
from services.auth.access.decisions import LocalAccess
from services.auth.access.repository_users import describe_user, list_repository_users
from shared.db.pool import Database
from shared.rpc.call import Call, Caller, RepositoryAccess
from shared.rpc.paging import Page
from shared.rpc.peer_address import PeerAddresses, read_address
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from shared.runtime.setting_types import CellAddresses


class AccessService:
    """The RPCs of dits.auth.v1.AccessService."""

    def __init__(
        self, database: Database, access: LocalAccess, settings: Settings, key: ServerKey
    ) -> None:
        self._database = database
        self._key = key
        self._access = access
        self._settings = settings
        self._addresses = PeerAddresses(settings.trusted_proxies)

    async def CheckAccess(
        self, request: pb.CheckAccessRequest, call: Call
    ) -> pb.CheckAccessResponse:
        """Answers about the credential of the call itself."""
        address = None
        if self._addresses.is_ours(call.peer_ip):
            address = read_address(request.caller_address)
        access = await self._access.resolve(
            call.token, request.repository, 0, address, is_open=request.is_open
        )
        return pb.CheckAccessResponse(
            caller=None if access.caller is None else _caller_message(access.caller),
            repository=None
            if access.repository is None
            else _repository_message(access.repository),
        )

    async def BatchCheckAccess(
        self, request: pb.BatchCheckAccessRequest, call: Call
    ) -> pb.BatchCheckAccessResponse:
        """Answers questions about many repositories."""
        checks = parse_checks(request)
        addresses = [check.address for check in checks]
        found = await find_rights(self._database, call.caller, addresses)
        return pb.BatchCheckAccessResponse(
            answers=[answer_check(check, found.get(check.address)) for check in checks]
        )

    async def ListAccessibleRepositories(
        self, request: pb.ListAccessibleRepositoriesRequest, call: Call
    ) -> pb.ListAccessibleRepositoriesResponse:
        """Lists the repositories that the caller was given a right on."""
        page = Page(self._key, request, call)
        owner, name = page.after or ("", "")
        found = await list_accessible_repositories(
            self._database, call.caller, (owner, name), page.size + 1
        )
        rows, token = page.answer(found, lambda row: (row["owner"].lower(), row["name"].lower()))
        return pb.ListAccessibleRepositoriesResponse(
            repositories=map(describe_repository, rows), next_page_token=token
        )

    async def ListRepositoryUsers(
        self, request: pb.ListRepositoryUsersRequest, call: Call
    ) -> pb.ListRepositoryUsersResponse:
        """Lists the accounts that were given a right on a repository."""
        page = Page(self._key, request, call)
        after = page.after[0] if page.after else ""
        found = await list_repository_users(
            self._database, call.repository.id, after, page.size + 1
        )
        rows, token = page.answer(found, lambda row: (row["username"].lower(),))
        return pb.ListRepositoryUsersResponse(users=map(describe_user, rows), next_page_token=token)

    async def WhoAmI(self, request: pb.WhoAmIRequest, call: Call) -> pb.WhoAmIResponse:
        """Describes the caller and its credential."""
        del request
        credential = await describe_credential(self._database, call.caller)
        return pb.WhoAmIResponse(
            caller=_caller_message(call.caller),
            token_name=credential["name"],
            create_time=credential["created_at"],
            expire_time=credential["expires_at"],
            sudo_expire_time=credential["sudo_until"],
        )

    async def LocateRepository(
        self, request: pb.LocateRepositoryRequest, call: Call
    ) -> pb.LocateRepositoryResponse:
        """Returns the cell of a repository and where clients reach it."""
        del request
        repository = call.repository
        where = _addresses_message(locate_cell(self._settings, repository.cell))
        return pb.LocateRepositoryResponse(
            repository_id=str(repository.id), cell=repository.cell, **where
        )

    async def LocateServices(
        self, request: pb.LocateServicesRequest, call: Call
    ) -> pb.LocateServicesResponse:
        """Returns the caller's cell and where clients reach it."""
        del request
        cell = self._settings.cell
        if call.caller_id is not None:
            cell = await find_cell(self._database, call.caller_id)
        where = _addresses_message(locate_cell(self._settings, cell))
        return pb.LocateServicesResponse(cell=cell, **where)


def _addresses_message(found: CellAddresses | None) -> dict[str, str]:
    if found is None:
        return {}
    return {
        "repo_address": found.repo,
        "chunk_address": found.chunk,
        "lock_address": found.lock,
    }


def _caller_message(caller: Caller) -> pb.Caller:
    kind = pb.CREDENTIAL_TYPE_SESSION if caller.is_session else pb.CREDENTIAL_TYPE_API_TOKEN
    sudo_left = duration_pb2.Duration()
    sudo_left.FromNanoseconds(int(caller.sudo_seconds * 1e9))
    return pb.Caller(
        user_id=str(caller.user_id),
        username=caller.username,
        credential_type=kind,
        credential_id=str(caller.credential_id),
        scopes=sorted(caller.scopes or ()),
        repository_ids=sorted(map(str, caller.reach or ())),
        refusing_organization_ids=sorted(map(str, caller.refused_by)),
        sudo_left=sudo_left if caller.sudo_seconds else None,
    )


def _repository_message(repository: RepositoryAccess) -> pb.RepositoryAccess:
    return pb.RepositoryAccess(
        repository_id=str(repository.id),
        owner=repository.owner,
        name=repository.name,
        permission=repository.permission.value,  # type: ignore[arg-type]
        read_only=repository.read_only,
        cell=repository.cell,
        organization_id=str(repository.organization_id or ""),
        withheld_permission=repository.withheld.value,  # type: ignore[arg-type]
    )
