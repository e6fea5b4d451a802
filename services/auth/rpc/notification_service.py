"""The caller's inbox, what comes into it, and what goes out by e-mail."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from dits.auth.v1 import notification_service_pb2 as pb

from services.auth.mail.unsubscribe import read_token
from services.auth.notifications import follows, inbox
from services.auth.notifications.catalog import TYPES
from services.auth.notifications.inbox_watch import InboxWatch
from services.auth.notifications.preferences import (
    PreferencesChange,
    read_preferences,
    update_preferences,
)
from shared.db.pool import Database, Row
from shared.outbox.cursors import CursorSeal
from shared.outbox.stored_event import EventPosition
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

MAX_MARKED = 1_000
MAX_TOKEN = 200


class NotificationService:
    """The RPCs of dits.auth.v1.NotificationService."""

    def __init__(self, database: Database, key: ServerKey, watch: InboxWatch) -> None:
        self._database = database
        self._key = key
        self._watch = watch

    async def ListNotifications(
        self, request: pb.ListNotificationsRequest, call: Call
    ) -> pb.ListNotificationsResponse:
        """Lists the caller's notifications, newest first."""
        page = Page(self._key, request, call)
        (before,) = page.after or (None,)
        unread_only = request.unread_only
        found = await inbox.list_notifications(
            self._database, call.caller, before, page.size + 1, unread_only=unread_only
        )
        rows, token = page.answer(found, lambda row: (row["number"],))
        return pb.ListNotificationsResponse(
            notifications=map(_message, rows), next_page_token=token
        )

    async def GetUnreadCount(
        self, request: pb.GetUnreadCountRequest, call: Call
    ) -> pb.GetUnreadCountResponse:
        """Returns how many notifications of the caller are unread."""
        del request
        return pb.GetUnreadCountResponse(unread_count=await self._count_unread(call))

    async def MarkRead(self, request: pb.MarkReadRequest, call: Call) -> pb.MarkReadResponse:
        """Marks some of the caller's notifications as read."""
        validation.count("ids", request.ids, MAX_MARKED)
        ids = {validation.uuid("ids", text) for text in request.ids}
        await inbox.mark_read(self._database, call.caller.user_id, ids)
        return pb.MarkReadResponse(unread_count=await self._count_unread(call))

    async def MarkAllRead(
        self, request: pb.MarkAllReadRequest, call: Call
    ) -> pb.MarkAllReadResponse:
        """Marks the caller's notifications as read that came until a time."""
        until = validation.time("until", request.until) if request.HasField("until") else None
        await inbox.mark_all_read(self._database, call.caller.user_id, until)
        return pb.MarkAllReadResponse(unread_count=await self._count_unread(call))

    async def Watch(
        self, request: pb.WatchRequest, call: Call
    ) -> AsyncGenerator[pb.WatchResponse, None]:
        """Sends what comes into the caller's inbox."""
        user_id = call.caller.user_id
        cursors = CursorSeal(self._key, b"inbox", user_id.bytes)
        number = cursors.read_cursor(request.cursor).event_id if request.cursor else None
        async with aclosing(self._watch.follow_inbox(lambda: call.caller, number)) as moments:
            async for moment in moments:
                row = moment.notification
                yield pb.WatchResponse(
                    notification=_message(row) if row is not None else None,
                    unread_count=moment.unread,
                    cursor=cursors.write_cursor(EventPosition("", "", moment.number)),
                )

    async def GetPreferences(
        self, request: pb.GetPreferencesRequest, call: Call
    ) -> pb.GetPreferencesResponse:
        """Returns what the caller gets by e-mail."""
        del request
        found = await read_preferences(self._database, call.caller.user_id)
        return pb.GetPreferencesResponse(preferences=found)

    async def UpdatePreferences(
        self, request: pb.UpdatePreferencesRequest, call: Call
    ) -> pb.UpdatePreferencesResponse:
        """Changes what the caller gets by e-mail."""
        change = PreferencesChange.parse(request)
        changed = await update_preferences(self._database, call.caller.user_id, change)
        return pb.UpdatePreferencesResponse(preferences=changed)

    async def Unsubscribe(
        self, request: pb.UnsubscribeRequest, call: Call
    ) -> pb.UnsubscribeResponse:
        """Turns off the preference that a signed token names."""
        del call
        token = validation.text("token", request.token, least=1, most=MAX_TOKEN)
        user_id, preference = read_token(self._key, token)
        off = PreferencesChange({preference: "never" if preference == "digest" else False})
        await update_preferences(self._database, user_id, off)
        return pb.UnsubscribeResponse(preference=preference)

    async def FollowBranch(
        self, request: pb.FollowBranchRequest, call: Call
    ) -> pb.FollowBranchResponse:
        """Makes the caller follow a branch."""
        branch = validation.branch("branch", request.branch)
        await follows.follow_branch(self._database, call.caller.user_id, call.repository.id, branch)
        return pb.FollowBranchResponse()

    async def UnfollowBranch(
        self, request: pb.UnfollowBranchRequest, call: Call
    ) -> pb.UnfollowBranchResponse:
        """Makes the caller follow a branch no more."""
        address = validation.repository_address("repository", request.repository)
        branch = validation.branch("branch", request.branch)
        await follows.unfollow_branch(self._database, call.caller.user_id, address, branch)
        return pb.UnfollowBranchResponse()

    async def ListFollowedBranches(
        self, request: pb.ListFollowedBranchesRequest, call: Call
    ) -> pb.ListFollowedBranchesResponse:
        """Lists the branches that the caller follows."""
        page = Page(self._key, request, call)
        after = (page.after[0], page.after[1], page.after[2]) if page.after else None
        found = await follows.list_followed(self._database, call.caller, after, page.size + 1)
        rows, token = page.answer(
            found, lambda row: (row["name_key"], row["repository_key"], row["branch"])
        )
        branches = [
            pb.FollowedBranch(
                repository_id=str(row["repo_id"]),
                repository=f"{row['owner']}/{row['name']}",
                branch=row["branch"],
                create_time=row["created_at"],
            )
            for row in rows
        ]
        return pb.ListFollowedBranchesResponse(branches=branches, next_page_token=token)

    async def _count_unread(self, call: Call) -> int:
        return await inbox.count_unread(self._database, call.caller)


def _message(row: Row) -> pb.Notification:
    return pb.Notification(
        id=str(row["id"]),
        type=TYPES.get(row["type"], pb.NOTIFICATION_TYPE_UNSPECIFIED),
        title=row["title"],
        message=row["message"],
        link=row["link"],
        repository_id=str(row["repo_id"] or ""),
        create_time=row["created_at"],
        read_time=row["read_at"],
    )
