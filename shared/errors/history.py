"""Errors about branches, commits and files: what the state of the repository forbids."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors.catalog import MAX_LISTED_HASHES, DomainError, Reason, violations


def head_moved(branch: str, expected: str, current: str, tag: str = "") -> DomainError:
    """A compare-and-swap of a branch or tag lost; the heads are hex, empty = it does not exist."""
    return DomainError(
        Reason.ERROR_REASON_HEAD_MOVED,
        f"the {_ref(branch, tag)} is not where it was expected",
        metadata={**_named(branch, tag), "expected": expected, "current": current},
    )


def repository_read_only() -> DomainError:
    """The repository is archived or disabled."""
    return DomainError(Reason.ERROR_REASON_REPOSITORY_READ_ONLY, "the repository is read-only")


def branch_protected(branch: str, rule: str, path: str = "", commit: str = "") -> DomainError:
    """The branch's protection forbids the update; the change of a path, or a commit, breaks the rule."""
    cause = path or commit
    metadata = {"branch": branch, "rule": rule, "path": path, "commit": commit}
    return DomainError(
        Reason.ERROR_REASON_BRANCH_PROTECTED,
        f"the branch {branch} is protected: {rule}" + (f" ({cause})" if cause else ""),
        metadata={key: value for key, value in metadata.items() if value},
    )


def not_fast_forward(branch: str, current: str, new: str, tag: str = "") -> DomainError:
    """The new head of a branch does not descend from the current one, or a tag exists."""
    what = "exists" if tag else "has commits that the new head does not descend from"
    return DomainError(
        Reason.ERROR_REASON_NOT_FAST_FORWARD,
        f"the {_ref(branch, tag)} {what}: it is changed by force alone",
        metadata={**_named(branch, tag), "current": current, "new": new},
    )


def tag_protected(tag: str) -> DomainError:
    """Others create, move and delete tags of such names."""
    return DomainError(
        Reason.ERROR_REASON_TAG_PROTECTED, f"the tag {tag} is protected", metadata={"tag": tag}
    )


def last_copy(count: int) -> DomainError:
    """Regions are left before so many chunks, or (0) nothing yet, were copied into those that stay."""
    message = (
        f"{count} chunk(s) are in none of the regions that stay: wait until they are copied"
        if count
        else "nothing is copied into the regions that stay: add them first, and then leave others"
    )
    return DomainError(Reason.ERROR_REASON_LAST_COPY, message, metadata={"count": str(count)})


def regions_missing(count: int, min_regions: int) -> DomainError:
    """So many chunks of new files are not in as many regions yet as a push needs."""
    return DomainError(
        Reason.ERROR_REASON_REGIONS_MISSING,
        f"{count} chunk(s) are not in {min_regions} regions yet: they are being copied, push again",
        metadata={"count": str(count), "min_regions": str(min_regions)},
    )


def chunks_missing(hashes: Sequence[str]) -> DomainError:
    """A push, or the lift of an obliteration, needs chunks that the repository does not hold."""
    return DomainError(
        Reason.ERROR_REASON_CHUNKS_MISSING,
        f"{len(hashes)} chunk(s) that are needed are not in the repository",
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


def content_obliterated(digest: str, reason: str, path: str = "") -> DomainError:
    """The content was removed from every version; `path` is where a change would bring it."""
    metadata = {"hash": digest, "reason": reason, "path": path}
    return DomainError(
        Reason.ERROR_REASON_CONTENT_OBLITERATED,
        f"{path or 'this content'} was removed from every version: {reason}",
        metadata={key: value for key, value in metadata.items() if value},
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


def _ref(branch: str, tag: str) -> str:
    return f"tag {tag}" if tag else f"branch {branch}"


def _named(branch: str, tag: str) -> dict[str, str]:
    return {key: name for key, name in (("branch", branch), ("tag", tag)) if name}


def merge_conflict(paths: Sequence[str]) -> DomainError:
    """Both branches changed paths in different ways, and nobody says which side to take."""
    return DomainError(
        Reason.ERROR_REASON_MERGE_CONFLICT,
        f"both branches changed {len(paths)} path(s), {paths[0]} for one",
        metadata={"count": str(len(paths)), "path": paths[0]},
        detail=violations(
            Reason.ERROR_REASON_MERGE_CONFLICT,
            [(path, "both branches changed it") for path in paths],
        ),
    )


def unrelated_histories(ours: str, theirs: str) -> DomainError:
    """Two commits, by their hashes, have no common ancestor."""
    return DomainError(
        Reason.ERROR_REASON_UNRELATED_HISTORIES,
        "the two branches have no common ancestor",
        metadata={"ours": ours, "theirs": theirs},
    )


def _counted(hashes: Sequence[str]) -> dict[str, str]:
    return {"count": str(len(hashes)), "hashes": ",".join(hashes[:MAX_LISTED_HASHES])}
