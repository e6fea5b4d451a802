"""What notifications say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

MAX_LISTED = 10
MAX_BRANCHES = 3


def name_locks(paths: Sequence[str]) -> str:
    """Returns `lock on a`, or `3 locks`."""
    return f"lock on {paths[0]}" if len(paths) == 1 else f"{len(paths)} locks"


def list_paths(paths: Sequence[str]) -> str:
    """Returns a line for each of the first paths, and how many there are besides."""
    more = len(paths) - MAX_LISTED
    return "\n".join([*paths[:MAX_LISTED], *([f"and {more} more"] if more > 0 else [])])


def describe_expiry(paths: Sequence[str], where: str, end: datetime) -> tuple[str, str]:
    """Returns title and message about locks that end soon."""
    title = f"Your {name_locks(paths)} in {where} will end at {end:%H:%M} UTC"
    return title, f"Renew what you still need.\n\n{list_paths(paths)}"


def describe_removal(
    who: str, verb: str, paths: Sequence[str], where: str, reason: str
) -> tuple[str, str]:
    """Returns title and message about locks that another user has ended."""
    title = f"{who} {verb} your {name_locks(paths)} in {where}"
    return title, f"Reason: {reason}\n\n{list_paths(paths)}"


def describe_transfer(
    who: str, paths: Sequence[str], where: str, *, is_new_holder: bool
) -> tuple[str, str]:
    """Returns title and message about locks that another user has transferred."""
    whom = "to you" if is_new_holder else "to another user"
    return f"{who} transferred the {name_locks(paths)} in {where} {whom}", list_paths(paths)


def describe_push(
    who: str, branches: Sequence[str], where: str, commit_count: int
) -> tuple[str, str]:
    """Returns title and message about a push to followed branches."""
    more = len(branches) - MAX_BRANCHES
    named = [*branches[:MAX_BRANCHES], *([f"{more} more"] if more > 0 else [])]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    count = "1 new commit" if commit_count == 1 else f"{commit_count} new commits"
    return f"{who} pushed to {listed} in {where}", f"The push brought {count}."


def describe_mention(who: str, where: str, commit: str, title: str) -> tuple[str, str]:
    """Returns title and message about a commit that mentions a user."""
    return f"{who} pushed a commit that mentions you to {where}", f"{commit[:12]} {title}".strip()


def describe_webhook(where: str, webhook_id: str, host: str, since: datetime) -> tuple[str, str]:
    """Returns title and message about a webhook that was switched off."""
    message = (
        f"All deliveries to {host} have failed since {since:%Y-%m-%d %H:%M} UTC. "
        f"When it answers again: dits webhook update {webhook_id} --on"
    )
    return f"A webhook of {where} was switched off", message


def link_webhooks(where: str) -> str:
    """Returns the path of the webhooks of a repository or organisation."""
    return f"/{where}/settings/webhooks"


def describe_membership(who: str, where: str, role: str, previous: str) -> tuple[str, str]:
    """Returns title and message about an invitation, another role, or the end of a membership."""
    if not role:
        return f"{who} removed you from the organisation {where}", ""
    if not previous:
        return f"{who} invites you to the organisation {where}", f"As {role}."
    return f"{who} gave you another role in the organisation {where}", f"{role}; before: {previous}"


def link_locks(where: str) -> str:
    """Returns the path of a repository's locks."""
    return f"/{where}/locks"


def link_commit(where: str, commit: str) -> str:
    """Returns the path of a commit."""
    return f"/{where}/commits/{commit}"


def link_branch(where: str, branch: str) -> str:
    """Returns the path of a branch."""
    return f"/{where}/branches/{quote(branch)}"
