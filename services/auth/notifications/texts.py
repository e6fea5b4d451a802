"""What notifications say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

SESSIONS_LINK = "/settings/sessions"
TOKENS_LINK = "/settings/tokens"
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


def describe_replay(device: str, network: str) -> tuple[str, str]:
    """Returns title and message about a session that was ended because an old token of it came back."""
    message = (
        f"A token that had been replaced was used again, from {network or 'an unknown network'}. "
        "Somebody else may have had it, so the session was ended with all its tokens.\n\n"
        "If no program of yours did this: change your password, and look at `dits session list`."
    )
    return f"Your session{_on(device)} was ended: it may have been stolen", message


def describe_eviction(device: str, new_device: str, network: str) -> tuple[str, str]:
    """Returns title and message about a session that a sixth login has ended."""
    message = (
        f"You logged in{_on(new_device)} from {network or 'an unknown network'}; of six sessions, the "
        "least recently used one ends. If it was not you: change your password, and look at "
        "`dits session list`."
    )
    return f"Your session{_on(device)} was ended by a new login", message


def describe_leak(name: str, *, is_session: bool) -> tuple[str, str]:
    """Returns title and message about a secret that somebody has found and reported."""
    what = f"Your session{_on(name)}" if is_session else f"Your API token {name}"
    message = (
        "Somebody has found its secret and reported it. It works no more, nor do tokens that it has made. "
        "Look in `dits audit` for what was done with it, and make another one if you need it."
    )
    return f"{what} was ended: its secret has leaked", message


def describe_token_end(name: str, end: datetime) -> tuple[str, str]:
    """Returns title and message about an API token that ends soon."""
    title = f"Your API token {name} ends on {end:%Y-%m-%d}"
    return (
        title,
        f"At {end:%H:%M} UTC. What uses it needs another one by then: `dits token create`.",
    )


def describe_request(who: str, where: str, name: str) -> tuple[str, str]:
    """Returns title and message about an API token that waits for approval."""
    return (
        f"{who} asks for approval of an API token for {where}",
        f"{name}\n\nSee `dits org tokens {where}`.",
    )


def describe_decision(where: str, name: str, *, approved: bool) -> str:
    """Returns the title about what an organisation decided about an API token."""
    return f"{where} {'approved' if approved else 'rejected'} your API token {name}"


def link_tokens(organization: str) -> str:
    """Returns the path of the API tokens that reach an organisation."""
    return f"/{organization}/settings/tokens"


def _on(device: str) -> str:
    return f" on {device}" if device else ""


def describe_storage(where: str, percent: int, held: int, limit: int) -> tuple[str, str]:
    """Returns title and message about storage that is nearly full, in bytes."""
    message = f"{held:,} of {limit:,} bytes. Uploads that need more will be refused."
    return f"The storage of {where} is {percent} percent full", message


def link_locks(where: str) -> str:
    """Returns the path of a repository's locks."""
    return f"/{where}/locks"


def link_commit(where: str, commit: str) -> str:
    """Returns the path of a commit."""
    return f"/{where}/commits/{commit}"


def link_branch(where: str, branch: str) -> str:
    """Returns the path of a branch."""
    return f"/{where}/branches/{quote(branch)}"
