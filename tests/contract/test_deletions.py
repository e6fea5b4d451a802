"""Objects of stores are deleted in few places, which look before at whose the store is."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_who_deletes_objects() -> None:
    callers = {
        str(path.relative_to(ROOT))
        for folder in ("services", "shared", "migrations")
        for path in (ROOT / folder).rglob("*.py")
        if ".delete_object(" in path.read_text() or "delete_async(" in path.read_text()
    }
    assert callers == {
        # The object that `store check` has made.
        "services/admin/stores.py",
        "services/chunk/background/object_reaper.py",
        "services/chunk/stores/paired_store.py",
        "services/chunk/stores/s3_store.py",
    }
    reaper = (ROOT / "services/chunk/background/object_reaper.py").read_text()
    assert reaper.index("await renew_stamp(") < reaper.index(".delete_object(")
