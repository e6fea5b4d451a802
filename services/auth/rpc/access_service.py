"""Access decisions for the other services, and for clients that ask what a credential can do."""

from __future__ import annotations

from dits.auth.v1 import access_service_pb2 as pb

from services.auth.access.decisions import LocalAccess
from shared.rpc.call import Call, Caller, RepositoryAccess


class AccessService:
    """The RPCs of dits.auth.v1.AccessService."""

    def __init__(self, access: LocalAccess) -> None:
        self._access = access

    async def CheckAccess(
        self, request: pb.CheckAccessRequest, call: Call
    ) -> pb.CheckAccessResponse:
        """Answers about the credential of the call itself."""
        access = await self._access.resolve(call.token, request.repository, 0)
        return pb.CheckAccessResponse(
            caller=None if access.caller is None else _caller_message(access.caller),
            repository=None
            if access.repository is None
            else _repository_message(access.repository),
        )


def _caller_message(caller: Caller) -> pb.Caller:
    kind = pb.CREDENTIAL_TYPE_SESSION if caller.is_session else pb.CREDENTIAL_TYPE_API_TOKEN
    return pb.Caller(
        user_id=str(caller.user_id),
        username=caller.username,
        credential_type=kind,
        credential_id=str(caller.credential_id),
        scopes=sorted(caller.scopes or ()),
    )


def _repository_message(repository: RepositoryAccess) -> pb.RepositoryAccess:
    return pb.RepositoryAccess(
        repository_id=str(repository.id),
        owner=repository.owner,
        name=repository.name,
        permission=repository.permission.value,  # type: ignore[arg-type]
        read_only=repository.read_only,
    )
