"""The texts of notifications, and the list of their types."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.auth.v1.notification_service_pb2 import NotificationType, Preferences

from services.auth.notifications import texts
from services.auth.notifications.catalog import NAMES, PREFERENCES, UNMAILED

PYTHON = [path.read_text() for path in Path("services/auth").rglob("*.py")]


@pytest.mark.parametrize("count", [1, 2, 10, 11, 1000])
def test_ten_paths_are_listed_at_most(count: int) -> None:
    listed = texts.list_paths([f"p{i}" for i in range(count)]).splitlines()
    assert listed[: min(count, 10)] == [f"p{i}" for i in range(min(count, 10))]
    assert listed[10:] == ([f"and {count - 10} more"] if count > 10 else [])


@pytest.mark.parametrize(
    ("branches", "listed"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_pushes_name_three_branches(branches: list[str], listed: str) -> None:
    assert texts.describe_push("ada", branches, "ada/film", 1) == (
        f"ada pushed to {listed} in ada/film",
        "The push brought 1 new commit.",
    )


def test_links_are_paths_without_what_a_url_forbids() -> None:
    assert texts.link_branch("ada/film", 'a "b"/é') == "/ada/film/branches/a%20%22b%22/%C3%A9"


@pytest.mark.parametrize("kind", NAMES, ids=NAMES.get)
def test_each_type_is_made_somewhere_and_has_a_preference(kind: NotificationType.ValueType) -> None:
    assert sum(NotificationType.Name(kind) in text for text in PYTHON) >= 2
    assert (PREFERENCES.get(kind) in Preferences.DESCRIPTOR.fields_by_name) != (kind in UNMAILED)
