"""Who is mentioned in the messages of commits: `@name`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dits.common.v1.event_pb2 import CommitMentions
from dits.repo.v1.manifest_pb2 import CommitContent

MAX_COMMITS = 100
MAX_MENTIONS = 200
MAX_OF_COMMIT = 20
MAX_TITLE = 200

# A username that is no part of an e-mail address, a path, or a longer name.
_MENTION = re.compile(
    r"(?<![A-Za-z0-9_.@/+-])@([A-Za-z0-9](?:-?[A-Za-z0-9]){2,38})(?![A-Za-z0-9_@/]|-[A-Za-z0-9])"
)


def find_mentions(
    commits: Mapping[str, CommitContent], hashes: Iterable[str]
) -> list[CommitMentions]:
    """Returns whom the messages of some of the commits mention, in order, within limits."""
    wanted, found, left = set(hashes), list[CommitMentions](), MAX_MENTIONS
    for commit, content in commits.items():
        if len(found) == MAX_COMMITS or not left:
            break
        if commit in wanted and "@" in content.message:
            names = _find_names(content.message)[:left]
            left -= len(names)
            if names:
                found.append(_describe(commit, content, names))
    return found


def _find_names(message: str) -> list[str]:
    """Returns the first names that a message mentions, each once, whatever its case."""
    names: dict[str, str] = {}
    for match in _MENTION.finditer(message):
        names.setdefault(match[1].lower(), match[1])
        if len(names) == MAX_OF_COMMIT:
            break
    return list(names.values())


def _describe(commit: str, content: CommitContent, names: list[str]) -> CommitMentions:
    title = content.message.strip().partition("\n")[0].strip()[:MAX_TITLE]
    return CommitMentions(
        commit=commit, usernames=names, title=title, author_email=content.author.email
    )
