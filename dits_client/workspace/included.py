"""Refusals about paths that a folder does not include."""

from collections.abc import Iterable

from dits_client.content.scope import Scope
from dits_client.errors import ConflictError
from dits_client.workspace.scan import list_paths


def check_included(scope: Scope, paths: Iterable[str]) -> None:
    """Raise ConflictError for files that the folder does not include."""
    outside = sorted(path for path in paths if not scope.covers(path))
    if outside:
        message = f"this folder does not include {list_paths(outside)}: run `dits include` first"
        raise ConflictError(message, outside)
