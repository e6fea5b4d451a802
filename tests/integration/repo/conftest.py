"""What the tests of the repo service share."""

from __future__ import annotations

import pytest

from services.repo.events import scopes


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets streams of many repositories look more often than in production."""
    monkeypatch.setattr(scopes, "PAUSE_SECONDS", 0.05)
