"""The errors that callers are told about: one constructor per reason, named as the reason.

Each returns a DomainError for the handler to raise. Its metadata has the keys that error_reason.proto
documents for the reason; a test holds the two together.
"""

from shared.errors.access import (
    name_taken,
    not_found,
    permission_missing,
    scope_missing,
    token_limited,
    unauthenticated,
    wrong_cell,
)
from shared.errors.catalog import CODES, DomainError, Reason
from shared.errors.history import (
    base_outdated,
    branch_protected,
    chunks_missing,
    default_branch,
    file_refused,
    head_moved,
    history_missing,
    not_fast_forward,
    repository_read_only,
)
from shared.errors.locks import LockConflict, lock_held, lock_required, lock_stale
from shared.errors.organizations import invitation_closed, last_owner, owns_repositories
from shared.errors.request import (
    already_requeued,
    batch_too_large,
    content_mismatch,
    cursor_too_old,
    invalid_field,
    invalid_page_token,
    range_beyond_end,
    request_id_reused,
    stream_order,
    undecodable_message,
)
from shared.errors.service import (
    chunk_corrupt,
    contention,
    dependency_unavailable,
    internal,
    limit_reached,
    manifest_corrupt,
    rate_limited,
    server_busy,
    storage_full,
    stream_idle,
    upload_expired,
)

__all__ = [
    "CODES",
    "DomainError",
    "LockConflict",
    "Reason",
    "already_requeued",
    "base_outdated",
    "batch_too_large",
    "branch_protected",
    "chunk_corrupt",
    "chunks_missing",
    "content_mismatch",
    "contention",
    "cursor_too_old",
    "default_branch",
    "dependency_unavailable",
    "file_refused",
    "head_moved",
    "history_missing",
    "internal",
    "invalid_field",
    "invalid_page_token",
    "invitation_closed",
    "last_owner",
    "limit_reached",
    "lock_held",
    "lock_required",
    "lock_stale",
    "manifest_corrupt",
    "name_taken",
    "not_fast_forward",
    "not_found",
    "owns_repositories",
    "permission_missing",
    "range_beyond_end",
    "rate_limited",
    "repository_read_only",
    "request_id_reused",
    "scope_missing",
    "server_busy",
    "storage_full",
    "stream_idle",
    "stream_order",
    "token_limited",
    "unauthenticated",
    "undecodable_message",
    "upload_expired",
    "wrong_cell",
]
