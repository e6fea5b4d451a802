"""The server's key: seals what must not be read, signs what must not be forged."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from pathlib import Path

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.runtime.config import ConfigError

KEY_FILE = "server.key"
ACCEPTED_FILE = "server.key.accepted"
ID_BYTES = 4
_NONCE_BYTES = 12
_HEADER_BYTES = ID_BYTES + _NONCE_BYTES
_MAC_BYTES = 16


class ServerKey:
    """Everything derived from the 32-byte server key, one sub-key per purpose.

    Attributes:
        id: of the key; what it seals begins with it.
    """

    def __init__(self, key: bytes, accepted: bytes | None = None) -> None:
        """`accepted`: another key, whose seals and MACs are good, too: the one before or after this one."""
        if len(key) != 32:
            raise ValueError("the server key has 32 bytes")
        self.id = blake3(key, derive_key_context="dits-server 2026 id of the key").digest(ID_BYTES)
        self._mac_key = blake3(
            key, derive_key_context="dits-server 2026 message authentication"
        ).digest()
        self._aead = AESGCM(
            blake3(key, derive_key_context="dits-server 2026 sealing of secrets").digest()
        )
        self._accepted = None if accepted is None else ServerKey(accepted)

    @classmethod
    def load(cls, configured: str | None, data_dir: Path, accepted: str | None = None) -> ServerKey:
        """The configured key (hex), else the one in `data_dir`, made on first use; so the accepted one.

        Raises ConfigError if a file is none of a key, or cannot be read or made.
        """
        other = bytes.fromhex(accepted) if accepted is not None else None
        try:
            if other is None and (also := data_dir / ACCEPTED_FILE).exists():
                other = _read_key(also)
            if configured is not None:
                return cls(bytes.fromhex(configured), other)
            path = data_dir / KEY_FILE
            if not path.exists():
                _make_first_key(path)
            return cls(_read_key(path), other)
        except OSError as error:
            raise ConfigError(
                f"The server's key cannot be made in {data_dir}: {error.strerror}."
                " Set server_key, or data_dir."
            ) from error

    def mac(self, *parts: bytes) -> bytes:
        """16 bytes that only this key can compute over the parts, each with its length."""
        state = blake3(key=self._mac_key)
        for part in parts:
            state.update(len(part).to_bytes(8, "big"))
            state.update(part)
        return state.digest(length=_MAC_BYTES)

    def has_made(self, mac: bytes, *parts: bytes) -> bool:
        """Returns whether `mac` is this key's over the parts, or the accepted key's."""
        if hmac.compare_digest(mac, self.mac(*parts)):
            return True
        return self._accepted is not None and self._accepted.has_made(mac, *parts)

    def knows(self, key_id: bytes) -> bool:
        """Returns whether it is this key's id or the accepted key's."""
        return key_id == self.id or (self._accepted is not None and self._accepted.knows(key_id))

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypts; `context` must be given again to open."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.id + nonce + self._aead.encrypt(nonce, plain, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes | None:
        """Decrypts; None if neither this key nor the accepted one has sealed it with this context."""
        if sealed[:ID_BYTES] != self.id:
            return None if self._accepted is None else self._accepted.unseal(sealed, context)
        nonce, encrypted = sealed[ID_BYTES:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        try:
            return self._aead.decrypt(nonce, encrypted, context)
        except (InvalidTag, ValueError):
            return None


def make_new_key(data_dir: Path) -> None:
    """Replaces the key in a folder; the old one becomes the accepted one. May be repeated after a crash.

    Raises FileExistsError if an earlier rotation has not ended: its key would be lost.
    """
    path, accepted = data_dir / KEY_FILE, data_dir / ACCEPTED_FILE
    old = path.read_text(encoding="ascii").strip()
    if accepted.exists():
        if accepted.read_text(encoding="ascii").strip() != old:
            raise FileExistsError(f"{accepted} is there: delete it once nothing needs it any more")
    else:
        _write_key(accepted, old).rename(accepted)
    _write_key(path, secrets.token_hex(32)).rename(path)


def _read_key(path: Path) -> bytes:
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ConfigError(f"{path} holds no server key, which is 64 hex digits.")
    return bytes.fromhex(text)


def _make_first_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _write_key(path, secrets.token_hex(32))
    try:
        # A link does not replace the key that another process may just have made.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def _write_key(path: Path, text: str) -> Path:
    """Returns a file beside a path that holds a key for sure, and that only its owner reads."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return fresh
