"""Settings of the suites that tests run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from shared.runtime.config import Settings


def default_settings(folder: Path) -> Settings:
    """Settings of a suite whose files lie in this folder."""
    return _settings_without_folder().model_copy(update={"data_dir": folder / "data"})


@cache
def _settings_without_folder() -> Settings:
    """Made once: to go through the environment for each setting takes longer than most calls."""
    return Settings(
        auth_port=0,
        repo_port=0,
        chunk_port=0,
        lock_port=0,
        pool_size=5,
        drain_seconds=0.2,
        server_key="5e" * 32,
    )
