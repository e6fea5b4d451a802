"""The server's key: what it seals names it, and during a rotation another one is good, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.runtime.server_key import ID_BYTES, ServerKey, make_new_key

OLD, NEW = b"o" * 32, b"n" * 32


def test_what_is_sealed_begins_with_the_id_of_the_key() -> None:
    key = ServerKey(OLD)
    sealed = key.seal(b"plain", b"context")
    assert sealed[:ID_BYTES] == key.id != ServerKey(NEW).id
    assert key.unseal(sealed, b"context") == b"plain"
    for broken in (
        b"",
        sealed[:3],
        sealed[:ID_BYTES],
        sealed[:-1],
        sealed[:-1] + bytes([sealed[-1] ^ 1]),
    ):
        assert key.unseal(broken, b"context") is None
    assert key.unseal(sealed, b"another") is None
    assert ServerKey(NEW).unseal(sealed, b"context") is None


def test_the_accepted_key_opens_and_checks_but_does_not_seal() -> None:
    old, both = ServerKey(OLD), ServerKey(NEW, OLD)
    assert both.unseal(old.seal(b"plain", b"c"), b"c") == b"plain"
    assert both.seal(b"plain", b"c")[:ID_BYTES] == ServerKey(NEW).id
    assert both.mac(b"part") == ServerKey(NEW).mac(b"part")
    assert both.has_made(old.mac(b"part"), b"part")
    assert both.has_made(both.mac(b"part"), b"part")
    assert not both.has_made(old.mac(b"other"), b"part")
    assert not old.has_made(both.mac(b"part"), b"part")


def test_a_new_key_in_the_folder_keeps_the_old_one(tmp_path: Path) -> None:
    old = ServerKey.load(None, tmp_path)
    sealed = old.seal(b"plain", b"c")
    make_new_key(tmp_path)
    new = ServerKey.load(None, tmp_path)
    assert new.id != old.id
    assert new.unseal(sealed, b"c") == b"plain"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    # A second one would lose the first.
    with pytest.raises(FileExistsError):
        make_new_key(tmp_path)
    assert ServerKey.load(None, tmp_path).id == new.id
    assert len(list(tmp_path.iterdir())) == 2


def test_a_new_key_is_made_once_more_after_a_crash(tmp_path: Path) -> None:
    old = ServerKey.load(None, tmp_path)
    # It ended when the old key was kept, and the new one not made.
    (tmp_path / "server.key.accepted").write_text((tmp_path / "server.key").read_text())
    make_new_key(tmp_path)
    new = ServerKey.load(None, tmp_path)
    assert new.id != old.id
    assert new.unseal(old.seal(b"plain", b"c"), b"c") == b"plain"
