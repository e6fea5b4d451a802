"""The closed list of what users are told, and which preference decides whether it is mailed at once."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from dits.auth.v1.notification_service_pb2 import NotificationType

_PREFIX = "NOTIFICATION_TYPE_"
# The names under which the database knows them: `push`, `lock.force_released`.
NAMES: dict[NotificationType.ValueType, str] = {
    value: name.removeprefix(_PREFIX).lower().replace("_", ".", 1)
    for name, value in NotificationType.items()
    if value != NotificationType.NOTIFICATION_TYPE_UNSPECIFIED
}
TYPES = {name: value for value, name in NAMES.items()}

# Fields of Preferences, and columns of notification_preferences.
PREFERENCES: dict[NotificationType.ValueType, str] = {
    NotificationType.NOTIFICATION_TYPE_MENTION: "email_on_mention",
    NotificationType.NOTIFICATION_TYPE_PUSH: "email_on_push",
    NotificationType.NOTIFICATION_TYPE_LOCK_EXPIRING: "email_on_lock_expiry",
    NotificationType.NOTIFICATION_TYPE_LOCK_FORCE_RELEASED: "email_on_lock_loss",
    NotificationType.NOTIFICATION_TYPE_LOCK_STOLEN: "email_on_lock_loss",
    NotificationType.NOTIFICATION_TYPE_LOCK_TRANSFERRED: "email_on_lock_loss",
    NotificationType.NOTIFICATION_TYPE_WEBHOOK_DISABLED: "email_on_webhook_disabled",
    NotificationType.NOTIFICATION_TYPE_SESSION_REPLAYED: "email_on_security",
    NotificationType.NOTIFICATION_TYPE_TOKEN_EXPIRING: "email_on_security",
    NotificationType.NOTIFICATION_TYPE_TOKEN_REPORTED: "email_on_security",
}
# Never mailed at once: an invitation is a mail of its own, and a sixth login the user's own act.
UNMAILED = frozenset(
    {
        NotificationType.NOTIFICATION_TYPE_MEMBER_INVITED,
        NotificationType.NOTIFICATION_TYPE_MEMBER_REMOVED,
        NotificationType.NOTIFICATION_TYPE_MEMBER_ROLE_CHANGED,
        NotificationType.NOTIFICATION_TYPE_REPO_STORAGE_NEARLY_FULL,
        NotificationType.NOTIFICATION_TYPE_SESSION_EVICTED,
        NotificationType.NOTIFICATION_TYPE_TOKEN_PENDING,
        NotificationType.NOTIFICATION_TYPE_TOKEN_APPROVED,
        NotificationType.NOTIFICATION_TYPE_TOKEN_REJECTED,
    }
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A notification that is not in the inbox yet.

    Attributes:
        source_id: what it tells of; it is told once under its type.
        repository_id: only readers of this repository are told; None = it is about none.
        title: one line without markup, as `message`, which may have several.
        link: a path below the address of the website.
    """

    user_id: UUID
    type: NotificationType.ValueType
    source_id: UUID
    repository_id: UUID | None
    title: str
    message: str
    link: str
