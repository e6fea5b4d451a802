"""Each RPC either writes audit rows or is in the list of those that change nothing about security."""

from __future__ import annotations

import re

import pytest

from shared.records.audit import AuditAction
from tests.support.rpcs import Rpc, rpcs

RPCS = rpcs()

# What each RPC may write: one row for each change, in its transaction.
AUDITED = {
    "auth.v1.AccountService/ChangePassword": {
        AuditAction.PASSWORD_CHANGED,
        AuditAction.SESSION_ENDED,
    },
    # With what ends by it.
    "auth.v1.AccountService/DeleteAccount": {AuditAction.USER_DELETED, AuditAction.MEMBER_REMOVED},
    "auth.v1.AccountService/Register": {AuditAction.USER_REGISTERED},
    "auth.v1.AccountService/ResetPassword": {AuditAction.PASSWORD_RESET, AuditAction.SESSION_ENDED},
    "auth.v1.AccountService/UpdateProfile": {
        AuditAction.USER_UPDATED,
        AuditAction.EMAIL_CHANGE_REQUESTED,
    },
    "auth.v1.AccountService/VerifyEmail": {
        AuditAction.EMAIL_VERIFIED,
        AuditAction.EMAIL_CHANGED,
    },
    "auth.v1.KeyService/AddSshKey": {AuditAction.SSH_KEY_ADDED},
    "auth.v1.KeyService/DeleteSshKey": {AuditAction.SSH_KEY_DELETED},
    "auth.v1.InvitationService/AcceptInvitation": {AuditAction.MEMBER_ADDED},
    "auth.v1.InvitationService/CreateInvitation": {AuditAction.INVITATION_CREATED},
    "auth.v1.InvitationService/DeclineInvitation": {AuditAction.INVITATION_DECLINED},
    "auth.v1.InvitationService/ResendInvitation": {AuditAction.INVITATION_CREATED},
    "auth.v1.InvitationService/RevokeInvitation": {AuditAction.INVITATION_REVOKED},
    "auth.v1.KeyService/PutUserKey": {AuditAction.USER_KEY_STORED},
    "auth.v1.KeyService/RotateUserKey": {AuditAction.USER_KEY_ROTATED},
    # The other sessions end.
    "auth.v1.MfaService/ConfirmTotp": {AuditAction.MFA_ENABLED, AuditAction.SESSION_ENDED},
    "auth.v1.MfaService/DisableTotp": {AuditAction.MFA_DISABLED},
    "auth.v1.MfaService/RegenerateRecoveryCodes": {AuditAction.MFA_RECOVERY_CODES_REPLACED},
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
    "auth.v1.SessionService/CompleteMfa": {
        AuditAction.SESSION_OPENED,
        AuditAction.SESSION_ENDED,
    },
    "auth.v1.SessionService/Elevate": {AuditAction.SESSION_ELEVATED},
    "auth.v1.SessionService/Logout": {AuditAction.SESSION_ENDED},
    "auth.v1.SessionService/RefreshSession": {
        AuditAction.SESSION_REFRESHED,
        AuditAction.SESSION_REPLAYED,
    },
    "auth.v1.SessionService/RevokeAllSessions": {AuditAction.SESSION_ENDED},
    "auth.v1.SessionService/RevokeSession": {AuditAction.SESSION_ENDED},
    "auth.v1.TeamService/CreateTeam": {AuditAction.TEAM_CREATED},
    "auth.v1.TeamService/DeleteTeam": {AuditAction.TEAM_DELETED},
    "auth.v1.TeamService/RemoveTeamMember": {AuditAction.TEAM_MEMBER_REMOVED},
    "auth.v1.TeamService/SetTeamMember": {
        AuditAction.TEAM_MEMBER_ADDED,
        AuditAction.TEAM_MEMBER_ROLE_CHANGED,
    },
    "auth.v1.TeamService/UpdateTeam": {AuditAction.TEAM_UPDATED},
    "auth.v1.TokenService/CreateToken": {AuditAction.TOKEN_CREATED},
    "auth.v1.OrganizationTokenService/ApproveToken": {AuditAction.TOKEN_APPROVED},
    "auth.v1.OrganizationTokenService/RejectToken": {AuditAction.TOKEN_REJECTED},
    "auth.v1.TokenService/RenameToken": {AuditAction.TOKEN_RENAMED},
    "auth.v1.TokenService/ReportLeakedToken": {AuditAction.TOKEN_REPORTED},
    "auth.v1.TokenService/RevokeToken": {AuditAction.TOKEN_REVOKED},
    "common.v1.JobService/RequeueDeadLetter": {AuditAction.JOB_REQUEUED},
    # With `steal`.
    "lock.v1.LockService/AcquireLocks": {AuditAction.LOCK_STOLEN},
    "lock.v1.LockService/ForceReleaseLock": {AuditAction.LOCK_FORCE_RELEASED},
    "lock.v1.LockService/TransferLock": {AuditAction.LOCK_TRANSFERRED},
    "repo.v1.GrantService/RemoveGrant": {AuditAction.GRANT_REMOVED},
    "repo.v1.GrantService/SetGrant": {AuditAction.GRANT_SET},
    # What a branch's protection forbids, by those who may bypass it.
    "repo.v1.CommitService/Push": {AuditAction.BRANCH_PROTECTION_BYPASSED},
    "repo.v1.ObliterationService/LiftObliteration": {AuditAction.OBLITERATION_LIFTED},
    "repo.v1.ObliterationService/ObliterateAsset": {AuditAction.CONTENT_OBLITERATED},
    "repo.v1.RefService/DeleteBranch": {AuditAction.BRANCH_PROTECTION_BYPASSED},
    "repo.v1.RefService/MergeBranches": {AuditAction.BRANCH_PROTECTION_BYPASSED},
    "repo.v1.RefService/RenameBranch": {AuditAction.BRANCH_PROTECTION_BYPASSED},
    "repo.v1.RefService/SetBranchProtection": {AuditAction.BRANCH_PROTECTION_CHANGED},
    "repo.v1.RefService/SetBranchRule": {AuditAction.BRANCH_PROTECTION_CHANGED},
    "repo.v1.RefService/SetTagProtection": {AuditAction.TAG_PROTECTION_CHANGED},
    "repo.v1.RefService/UpdateBranch": {AuditAction.BRANCH_PROTECTION_BYPASSED},
    "repo.v1.RepositoryService/CreateRepository": {AuditAction.REPOSITORY_CREATED},
    "repo.v1.RepositoryService/DeleteRepository": {AuditAction.REPOSITORY_DELETED},
    "repo.v1.RepositoryService/DisableRepository": {AuditAction.REPOSITORY_DISABLED},
    "repo.v1.RepositoryService/EnableRepository": {AuditAction.REPOSITORY_ENABLED},
    "repo.v1.RepositoryService/UndeleteRepository": {AuditAction.REPOSITORY_UNDELETED},
    "repo.v1.RepositoryService/UpdateRepository": {AuditAction.REPOSITORY_UPDATED},
    "repo.v1.RepositoryService/UpdateRepositorySettings": {AuditAction.REPOSITORY_UPDATED},
    "repo.v1.TransferService/AcceptTransfer": {AuditAction.REPOSITORY_TRANSFERRED},
    "repo.v1.TransferService/CancelTransfer": {AuditAction.REPOSITORY_TRANSFER_CANCELLED},
    "repo.v1.TransferService/ForceTransfer": {AuditAction.REPOSITORY_TRANSFERRED},
    "repo.v1.TransferService/RequestTransfer": {
        AuditAction.REPOSITORY_TRANSFERRED,
        AuditAction.REPOSITORY_TRANSFER_REQUESTED,
    },
    "repo.v1.WebhookService/CreateWebhook": {AuditAction.WEBHOOK_CREATED},
    "repo.v1.WebhookService/DeleteWebhook": {AuditAction.WEBHOOK_DELETED},
    "repo.v1.WebhookService/RotateSecret": {AuditAction.WEBHOOK_SECRET_ROTATED},
    "repo.v1.WebhookService/UpdateWebhook": {AuditAction.WEBHOOK_UPDATED},
}

# What the server does by itself, and its operator without an RPC.
BY_THE_SERVER = {
    # By commands of the operator.
    AuditAction.SERVER_KEY_ROTATED,
    AuditAction.EVENT_DROPPED,
    AuditAction.EVENT_REQUEUED,
    AuditAction.REPOSITORY_PURGED,
    AuditAction.LINK_SHOWN,
    AuditAction.PASSWORD_RESET_REQUIRED,
    AuditAction.USER_REINSTATED,
    AuditAction.USER_SUSPENDED,
    AuditAction.WEBHOOK_DISABLED,
}

# Change something, but nobody's rights: the history, own locks, own settings, own jobs.
NOT_ABOUT_SECURITY = {
    # What it makes counts from ConfirmTotp on.
    "auth.v1.MfaService/EnrollTotp",
    "auth.v1.AccountService/RequestPasswordReset",
    "auth.v1.AccountService/ResendVerification",
    "auth.v1.KeyService/CreateKeyChallenge",
    "auth.v1.NotificationService/FollowBranch",
    "auth.v1.NotificationService/MarkAllRead",
    "auth.v1.NotificationService/MarkRead",
    "auth.v1.NotificationService/UnfollowBranch",
    "auth.v1.NotificationService/Unsubscribe",
    "auth.v1.NotificationService/UpdatePreferences",
    "auth.v1.SessionService/CreateSshChallenge",
    "chunk.v1.ChunkService/CopyChunks",
    "chunk.v1.ChunkService/UploadChunks",
    "chunk.v1.MaintenanceService/PlanGarbageCollection",
    "chunk.v1.MaintenanceService/RunGarbageCollection",
    "chunk.v1.MaintenanceService/VerifyChunks",
    "chunk.v1.PlacementService/ReplicateChunks",
    "chunk.v1.TierService/RestoreChunks",
    "chunk.v1.TierService/SetStorageClass",
    "chunk.v1.DirectTransferService/ConfirmPackUpload",
    "chunk.v1.DirectTransferService/CreateDownloadUrls",
    "chunk.v1.DirectTransferService/CreatePackUpload",
    "common.v1.JobService/CancelJob",
    "lock.v1.LockService/ReleaseLocks",
    "lock.v1.LockService/RenewLocks",
    "repo.v1.RefService/CreateBranch",
    "repo.v1.TreeService/UpdateAssetMetadata",
    "repo.v1.RefService/CreateTag",
    "repo.v1.RefService/DeleteTag",
    "repo.v1.WebhookService/Ping",
    "repo.v1.WebhookService/Redeliver",
}

# RPCs of these names only read.
_READS = re.compile(
    r"((Batch)?Check|Compare|Diff|Download|Export|Find|Get|List|Locate|Stat|Stream|Watch|Who)([A-Z]|$)"
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


def test_every_action_is_of_some_rpc_or_of_the_server() -> None:
    assert BY_THE_SERVER.union(*AUDITED.values()) == set(AuditAction)
