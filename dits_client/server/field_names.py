"""Sentences of the server about a field of a request, told to people, who know no fields."""

import re

# `settings.min_regions: must not be negative`
_FIELD = re.compile(
    r"([a-z][a-z0-9_]*(?:\[\d+\])?(?:\.[a-z0-9_]+(?:\[\d+\])?)*): (?:it )?(.+)", re.DOTALL
)
# What goes on from the field as its subject; other descriptions have one of their own.
_PREDICATE = re.compile(
    r"(must|is|are|was|has|have|names?|needs|belongs?|owns|cannot|may|ends?|or|stands?|conflicts) "
)
# Other fields that descriptions name.
_OTHERS = re.compile(
    r"\b(base_is_empty|invitation_id|mime_type|min_size|public_key|recovery_code|resource_type)\b"
)
_INDEX = re.compile(r"(.*)\[(\d+)\]")
# Fields whose names say little; the others are words with underscores.
_WORDS = {
    "expire_time": "the end",
    "mime_type": "the type of the content",
    "other_conflicts": "--all-others",
    "plan_seats": "the number of members",
    "steal_lock_ids": "what is to be taken over",
    "totp_code": "the code",
    "ttl": "the duration",
    "update_mask": "the request",
}


def describe_field(text: str) -> str:
    """Return a sentence as people would say it: without the name of a field, if one is before it."""
    found = _FIELD.fullmatch(text)
    if found is None:
        return text
    field, description = found[1].rpartition(".")[2], found[2]
    number = ""
    if indexed := _INDEX.fullmatch(field):
        field, number = indexed[1], f", number {int(indexed[2]) + 1},"
    words = _WORDS.get(field) or f"the {field.replace('_', ' ')}"
    if description.startswith("at most "):
        return f"too many {words.removeprefix('the ')}: {description}"
    if _PREDICATE.match(description):
        description = _OTHERS.sub(lambda name: name[0].replace("_", " "), description)
        return f"{words}{number} {description}"
    return description
