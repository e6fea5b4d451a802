"""Errors about branches, commits and files: what the state of the repository forbids."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors.catalog import MAX_LISTED_HASHES, DomainError, Reason, violations


def head_moved(branch: str, expected: str, current: str) -> DomainError:
    """A compare-and-swap lost; the heads are hex, empty = the branch does not exist."""
    return DomainError(
        Reason.ERROR_REASON_HEAD_MOVED,
        f"the branch {branch} is not where it was expected",
        metadata={"branch": branch, "expected": expected, "current": current},
    )


def repository_read_only() -> DomainError:
    """The repository is archived or disabled."""
    return DomainError(Reason.ERROR_REASON_REPOSITORY_READ_ONLY, "the repository is read-only")


def branch_protected(branch: str, rule: str) -> DomainError:
    """The branch's protection forbids the update."""
    return DomainError(
        Reason.ERROR_REASON_BRANCH_PROTECTED,
        f"the branch {branch} is protected: {rule}",
        metadata={"branch": branch, "rule": rule},
    )


def not_fast_forward(branch: str, current: str, new: str) -> DomainError:
    """The new head does not descend from the current one."""
    return DomainError(
        Reason.ERROR_REASON_NOT_FAST_FORWARD,
        f"the new head of {branch} does not descend from the current one",
        metadata={"branch": branch, "current": current, "new": new},
    )


def chunks_missing(hashes: Sequence[str]) -> DomainError:
    """The push names chunks that the repository does not hold."""
    return DomainError(
        Reason.ERROR_REASON_CHUNKS_MISSING,
        f"{len(hashes)} chunk(s) that the push needs are not in the repository",
        metadata=_counted(hashes),
    )


def history_missing(kind: str, hashes: Sequence[str]) -> DomainError:
    """The push names manifests or commits that are neither in it nor in the repository."""
    return DomainError(
        Reason.ERROR_REASON_HISTORY_MISSING,
        f"{len(hashes)} {kind}(s) that the push needs are not in the repository",
        metadata={"kind": kind, **_counted(hashes)},
    )


def file_refused(path: str, rule: str, limit: str, description: str) -> DomainError:
    """The repository's settings refuse a file."""
    return DomainError(
        Reason.ERROR_REASON_FILE_REFUSED,
        f"{path} {description}",
        metadata={"path": path, "rule": rule, "limit": limit},
        detail=violations(Reason.ERROR_REASON_FILE_REFUSED, [(path, description)]),
    )


def default_branch(branch: str) -> DomainError:
    """The default branch cannot be deleted."""
    return DomainError(
        Reason.ERROR_REASON_DEFAULT_BRANCH,
        "the default branch cannot be deleted",
        metadata={"branch": branch},
    )


def base_outdated(branch: str, base: str, newer: Sequence[tuple[str, str]]) -> DomainError:
    """Paths changed since the base commit; `newer` has (path, a commit that changed it), hex."""
    path, commit = newer[0]
    where = branch or "the default branch"
    return DomainError(
        Reason.ERROR_REASON_BASE_OUTDATED,
        f"{path} was changed on {where} by {commit}, which is not in {base}: get it first",
        metadata={
            "count": str(len(newer)),
            "path": path,
            "branch": branch,
            "base": base,
            "newer": commit,
        },
        detail=violations(
            Reason.ERROR_REASON_BASE_OUTDATED,
            [(changed, f"changed by {by}") for changed, by in newer],
        ),
    )


def _counted(hashes: Sequence[str]) -> dict[str, str]:
    return {"count": str(len(hashes)), "hashes": ",".join(hashes[:MAX_LISTED_HASHES])}
