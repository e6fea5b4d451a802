"""Which service calls which: code, order of start, settings, compose file and README agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.suite import SERVICES
from shared.runtime.config import Settings

ROOT = Path(__file__).parents[2]


def compose_service(name: str) -> str:
    """The lines of one service of docker-compose.yml, with the environment that all of them share."""
    text = (ROOT / "docker-compose.yml").read_text()
    common = re.search(r"^x-service:.*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    own = re.search(rf"^  {name}:\n.*?(?=^  \w|^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert common is not None
    assert own is not None
    return common[0] + own[0]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_after_those_that_it_needs(name: str) -> None:
    before = list(SERVICES)[: list(SERVICES).index(name)]
    assert set(SERVICES[name].NEEDS) <= set(before)


@pytest.mark.parametrize(
    ("name", "needed"), [(name, needed) for name in SERVICES for needed in SERVICES[name].NEEDS]
)
def test_the_address_of_what_a_service_needs_is_written_everywhere(name: str, needed: str) -> None:
    variable = f"DITS_{needed.upper()}_ADDRESS"
    assert f"{needed}_address" in Settings.model_fields
    port = Settings.model_fields[f"{needed}_port"].default
    assert f"{variable}: {needed}:{port}\n" in compose_service(name)
    assert variable in (ROOT / "README.md").read_text()
