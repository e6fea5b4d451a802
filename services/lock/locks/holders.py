"""Whose locks a request asks for."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from dits.lock.v1 import lock_service_pb2 as pb

from shared.db import sql
from shared.db.pool import Databases
from shared.errors import invalid_field
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

# No user has this id: a filter with an unknown username finds no locks.
_NOBODY = UUID(int=0)


class HolderFilter(NamedTuple):
    """Locks of one user only, or of all users but one. `user_id` is None if all users are meant."""

    user_id: UUID | None
    is_only: bool


async def find_holder(databases: Databases, name: str, call: Call) -> UUID | None:
    """Returns the user that a filter names by `me` or a username; None if it is empty."""
    if not name:
        return None
    if name == "me":
        return call.caller.user_id
    username = validation.username("holder", name).lower()
    row = await databases.of(call.repository.id).fetchrow(Q.user_id, username)
    return row["id"] if row else _NOBODY


async def find_holders(
    databases: Databases, request: pb.ListLocksRequest, call: Call
) -> HolderFilter:
    """Returns what `holder` and `side` of a request say together."""
    if request.side not in pb.Side.values():
        raise invalid_field("side", "is not a side")
    holder = await find_holder(databases, request.holder, call)
    if request.side == pb.SIDE_UNSPECIFIED:
        return HolderFilter(holder, is_only=holder is not None)
    me = call.caller.user_id
    if request.side == pb.SIDE_OURS:
        return HolderFilter(me if holder in (None, me) else _NOBODY, is_only=True)
    if holder is None:
        return HolderFilter(me, is_only=False)
    return HolderFilter(holder if holder != me else _NOBODY, is_only=True)
