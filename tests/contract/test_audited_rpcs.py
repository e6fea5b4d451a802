"""Each RPC either writes audit rows or is in the list of those that change nothing about security."""

from __future__ import annotations

import re

import pytest

from shared.records.audit import AuditAction
from tests.support.rpcs import Rpc, rpcs

RPCS = rpcs()

# What each RPC may write: one row for each change, in its transaction.
AUDITED = {
    "auth.v1.AccountService/Register": {AuditAction.USER_REGISTERED},
    "auth.v1.KeyService/AddSshKey": {AuditAction.SSH_KEY_ADDED},
    "auth.v1.KeyService/DeleteSshKey": {AuditAction.SSH_KEY_DELETED},
    "auth.v1.InvitationService/AcceptInvitation": {AuditAction.MEMBER_ADDED},
    "auth.v1.InvitationService/CreateInvitation": {AuditAction.INVITATION_CREATED},
    "auth.v1.InvitationService/DeclineInvitation": {AuditAction.INVITATION_DECLINED},
    "auth.v1.InvitationService/ResendInvitation": {AuditAction.INVITATION_CREATED},
    "auth.v1.InvitationService/RevokeInvitation": {AuditAction.INVITATION_REVOKED},
    "auth.v1.KeyService/PutUserKey": {AuditAction.USER_KEY_STORED},
    "auth.v1.KeyService/RotateUserKey": {AuditAction.USER_KEY_ROTATED},
    "auth.v1.OrganizationService/CreateOrganization": {AuditAction.ORGANIZATION_CREATED},
    "auth.v1.OrganizationService/DeleteOrganization": {AuditAction.ORGANIZATION_DELETED},
    "auth.v1.OrganizationService/LeaveOrganization": {AuditAction.MEMBER_REMOVED},
    "auth.v1.OrganizationService/RemoveMember": {AuditAction.MEMBER_REMOVED},
    "auth.v1.OrganizationService/UpdateMemberRole": {AuditAction.MEMBER_ROLE_CHANGED},
    "auth.v1.OrganizationService/UpdateOrganization": {AuditAction.ORGANIZATION_UPDATED},
    # A sixth session ends another.
    "auth.v1.SessionService/Login": {AuditAction.SESSION_OPENED, AuditAction.SESSION_ENDED},
    "auth.v1.SessionService/LoginWithSsh": {
        AuditAction.SESSION_OPENED,
        AuditAction.SESSION_ENDED,
    },
    "auth.v1.SessionService/Logout": {AuditAction.SESSION_ENDED},
    "auth.v1.TeamService/CreateTeam": {AuditAction.TEAM_CREATED},
    "auth.v1.TeamService/DeleteTeam": {AuditAction.TEAM_DELETED},
    "auth.v1.TeamService/RemoveTeamMember": {AuditAction.TEAM_MEMBER_REMOVED},
    "auth.v1.TeamService/SetTeamMember": {
        AuditAction.TEAM_MEMBER_ADDED,
        AuditAction.TEAM_MEMBER_ROLE_CHANGED,
    },
    "auth.v1.TeamService/UpdateTeam": {AuditAction.TEAM_UPDATED},
    "auth.v1.TokenService/CreateToken": {AuditAction.TOKEN_CREATED},
    "auth.v1.TokenService/RevokeToken": {AuditAction.TOKEN_REVOKED},
    "common.v1.JobService/RequeueDeadLetter": {AuditAction.JOB_REQUEUED},
    # With `steal`.
    "lock.v1.LockService/AcquireLocks": {AuditAction.LOCK_STOLEN},
    "lock.v1.LockService/ForceReleaseLock": {AuditAction.LOCK_FORCE_RELEASED},
    "lock.v1.LockService/TransferLock": {AuditAction.LOCK_TRANSFERRED},
    "repo.v1.RepositoryService/CreateRepository": {AuditAction.REPOSITORY_CREATED},
    "repo.v1.WebhookService/CreateWebhook": {AuditAction.WEBHOOK_CREATED},
    "repo.v1.WebhookService/DeleteWebhook": {AuditAction.WEBHOOK_DELETED},
    "repo.v1.WebhookService/RotateSecret": {AuditAction.WEBHOOK_SECRET_ROTATED},
    "repo.v1.WebhookService/UpdateWebhook": {AuditAction.WEBHOOK_UPDATED},
}

# Change something, but nobody's rights: the history, own locks, own settings, own jobs.
NOT_ABOUT_SECURITY = {
    "auth.v1.KeyService/CreateKeyChallenge",
    "auth.v1.NotificationService/FollowBranch",
    "auth.v1.NotificationService/MarkAllRead",
    "auth.v1.NotificationService/MarkRead",
    "auth.v1.NotificationService/UnfollowBranch",
    "auth.v1.NotificationService/Unsubscribe",
    "auth.v1.NotificationService/UpdatePreferences",
    "auth.v1.SessionService/CreateSshChallenge",
    "chunk.v1.ChunkService/UploadChunks",
    "common.v1.JobService/CancelJob",
    "lock.v1.LockService/ReleaseLocks",
    "lock.v1.LockService/RenewLocks",
    "repo.v1.CommitService/Push",
    "repo.v1.RefService/CreateBranch",
    "repo.v1.RefService/DeleteBranch",
    "repo.v1.RefService/UpdateBranch",
    "repo.v1.WebhookService/Ping",
    "repo.v1.WebhookService/Redeliver",
}

# RPCs of these names only read.
_READS = re.compile(
    r"((Batch)?Check|Download|Export|Find|Get|List|Locate|Stream|Watch|Who)([A-Z]|$)"
)


def short_path(rpc: Rpc) -> str:
    return rpc.path.removeprefix("/dits.")


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
def test_every_rpc_is_in_one_list(rpc: Rpc) -> None:
    path = short_path(rpc)
    reads = _READS.match(path.partition("/")[2]) is not None
    assert [path in AUDITED, path in NOT_ABOUT_SECURITY, reads].count(True) == 1


def test_the_lists_name_rpcs_that_are_there() -> None:
    assert AUDITED.keys() | NOT_ABOUT_SECURITY <= {short_path(rpc) for rpc in RPCS}


def test_every_action_is_of_some_rpc() -> None:
    assert set().union(*AUDITED.values()) == set(AuditAction)
