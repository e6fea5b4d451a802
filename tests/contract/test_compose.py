"""docker-compose.yml names only what there is: no container engine is needed to see that."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cli import _parser
from shared.runtime import config
from shared.runtime.config import SERVICES, Settings

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONTAINERS = FILE["services"]
OURS = [name for name, container in CONTAINERS.items() if "build" in container]
KEYS = set("build image restart environment depends_on volumes healthcheck command ports".split())
CONDITIONS = {"service_healthy", "service_completed_successfully"}
# ${NAME:-default} and ${NAME:?what to do}.
VARIABLE = re.compile(r"\$\{\w+:[-?]([^}]*)\}")


def environment(name: str) -> dict[str, str]:
    """What a container of ours finds in its environment; what somebody has to choose is a key."""
    found: dict[str, Any] = CONTAINERS[name]["environment"]
    return {key: VARIABLE.sub("ab" * 32, str(value)) for key, value in found.items()}


def test_all_services_are_there_beside_what_they_need() -> None:
    assert set(OURS) == {*SERVICES, "migrate"}
    assert set(CONTAINERS) == {*OURS, "postgres", "seaweedfs"}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_says_what_compose_understands(name: str) -> None:
    container = CONTAINERS[name]
    assert set(container) <= KEYS
    for other, wanted in container.get("depends_on", {}).items():
        assert wanted["condition"] in CONDITIONS
        waits_for_health = wanted["condition"] == "service_healthy"
        assert waits_for_health == ("healthcheck" in CONTAINERS[other])
    volumes = {volume.partition(":")[0] for volume in container.get("volumes", [])}
    assert volumes <= set(FILE["volumes"])


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_finds_settings_and_a_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in [key for key in os.environ if key.startswith("DITS_")]:
        monkeypatch.delenv(key)
    variables = environment(name)
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    ours = {key.removeprefix("DITS_").lower() for key in variables if key.startswith("DITS_")}
    assert ours <= set(Settings.model_fields)
    settings = config.load(vars(_parser().parse_args(CONTAINERS[name]["command"])))
    assert settings.database_url == "postgresql://dits:dits@postgres/dits"
    peers = {
        settings.auth_address: "auth",
        settings.repo_address: "repo",
        settings.chunk_address: "chunk",
    }
    assert peers == {f"{peer}:{settings.port(peer)}": peer for peer in peers.values()}
    if name in SERVICES:
        port = settings.port(name)
        assert CONTAINERS[name]["ports"] == [f"{port}:{port}"]
    if settings.store:
        assert "seaweedfs" in CONTAINERS[name]["depends_on"]
