"""The folder through which packs pass on their way to a bucket."""

from __future__ import annotations

import tempfile
from pathlib import Path

from shared.runtime.config import ConfigError, Settings


def spool_folder(settings: Settings) -> Path:
    """Where packs lie until a bucket has them."""
    return settings.data_dir / "spool"


def require_spool(settings: Settings) -> None:
    """Raises ConfigError unless a pack can be written there: else each upload would fail."""
    folder = spool_folder(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"Uploads pass through {folder} to the bucket, and it cannot be written: {error.strerror}. "
            "Set data_dir."
        ) from error
