"""The server's key: seals what must not be read, signs what must not be forged."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_MAC_BYTES = 16


class ServerKey:
    """Everything derived from the 32-byte server key, one sub-key per purpose."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("the server key has 32 bytes")
        self._mac_key = blake3(
            key, derive_key_context="dits-server 2026 message authentication"
        ).digest()
        self._aead = AESGCM(
            blake3(key, derive_key_context="dits-server 2026 sealing of secrets").digest()
        )

    @classmethod
    def load(cls, configured: str | None, data_dir: Path) -> ServerKey:
        """The configured key (hex), else the one in `data_dir`, made on first use."""
        if configured is not None:
            return cls(bytes.fromhex(configured))
        path = data_dir / "server.key"
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f"server.key.{os.getpid()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            try:
                # A link does not replace the key that another process may just have made.
                os.link(fresh, path)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))

    def mac(self, *parts: bytes) -> bytes:
        """16 bytes that only this key can compute over the parts, each with its length."""
        state = blake3(key=self._mac_key)
        for part in parts:
            state.update(len(part).to_bytes(8, "big"))
            state.update(part)
        return state.digest(length=_MAC_BYTES)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypts; `context` must be given again to open."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes | None:
        """Decrypts; None if it was not sealed with this key and context."""
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            return None
