"""TransferService: repositories go to another owner."""

from __future__ import annotations

from dits.repo.v1 import transfer_service_pb2 as pb

from services.repo.repositories import transfers
from services.repo.repositories.messages import MAX_DESCRIPTION
from services.repo.repositories.owners import resolve_owner
from shared.db.pool import Connection, Database, Databases, Row
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey


class TransferService:
    """The RPCs of dits.repo.v1.TransferService.

    `database` is where requests are listed; `databases` holds the repositories.
    """

    def __init__(
        self, database: Database, databases: Databases, writes: IdempotentWrites, key: ServerKey
    ) -> None:
        self._database = database
        self._databases = databases
        self._writes = writes
        self._key = key

    async def RequestTransfer(
        self, request: pb.RequestTransferRequest, call: Call
    ) -> pb.RequestTransferResponse:
        """Asks for a transfer."""

        async def ask(connection: Connection) -> Row | None:
            return await transfers.request_transfer(connection, call, request.new_owner)

        row = await self._databases.of(call.repository.id).transaction(ask)
        waiting = transfers.describe_transfer(row) if row is not None else None
        return pb.RequestTransferResponse(transfer=waiting)

    async def AcceptTransfer(
        self, request: pb.AcceptTransferRequest, call: Call
    ) -> pb.AcceptTransferResponse:
        """Makes a transfer that was requested."""
        repository_id = validation.uuid("repository_id", request.repository_id)
        _check_name(request.name)

        async def accept(connection: Connection) -> pb.AcceptTransferResponse:
            address = await transfers.accept_transfer(connection, call, repository_id, request.name)
            owner, _, name = address.partition("/")
            return pb.AcceptTransferResponse(owner=owner, name=name)

        repeatable = Repeatable.of(request)
        return await self._writes.once(call, repeatable, pb.AcceptTransferResponse, accept)

    async def CancelTransfer(
        self, request: pb.CancelTransferRequest, call: Call
    ) -> pb.CancelTransferResponse:
        """Ends a request."""
        repository_id = validation.uuid("repository_id", request.repository_id)

        async def cancel(connection: Connection) -> None:
            await transfers.cancel_transfer(connection, call, repository_id)

        await self._databases.of(repository_id).transaction(cancel)
        return pb.CancelTransferResponse()

    async def ListTransfers(
        self, request: pb.ListTransfersRequest, call: Call
    ) -> pb.ListTransfersResponse:
        """Returns a page of the open requests of an owner."""
        page = Page(self._key, request, call)
        name = request.owner or call.caller.username
        async with self._database.connection() as connection:
            owner = await resolve_owner(connection, name, call.caller)
            owner.require_admin()
            found = await transfers.list_transfers(connection, owner, page.after, page.size + 1)
        rows, token = page.answer(found, lambda row: (str(row["repo_id"]),))
        return pb.ListTransfersResponse(
            transfers=map(transfers.describe_transfer, rows), next_page_token=token
        )

    async def ForceTransfer(
        self, request: pb.ForceTransferRequest, call: Call
    ) -> pb.ForceTransferResponse:
        """Makes a transfer, for the operator."""
        call.caller.require_site_admin()
        repository_id = validation.uuid("repository_id", request.repository_id)
        _check_name(request.name)
        reason = validation.prose(
            "reason", request.reason, most_bytes=MAX_DESCRIPTION, required=True
        )

        async def force(connection: Connection) -> pb.ForceTransferResponse:
            address = await transfers.force_transfer(
                connection, call, repository_id, request.new_owner, request.name, reason
            )
            owner, _, name = address.partition("/")
            return pb.ForceTransferResponse(owner=owner, name=name)

        repeatable = Repeatable.of(request)
        return await self._writes.once(call, repeatable, pb.ForceTransferResponse, force)


def _check_name(name: str) -> None:
    if name:
        validation.repository_name("name", name)
