"""SSH keys and signatures: those of `ssh-keygen`, and those of a security key that is a program."""

from __future__ import annotations

import base64
import functools
import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.formats.ssh_wire import write_string

needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")

# What `ssh-keygen -t … -b …` makes without hardware, of those that are taken.
TAKEN = ("ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-3072")


def run_command(*command: str | Path, given: bytes = b"", **environment: str) -> bytes:
    """Returns what a command prints."""
    done = subprocess.run(
        [str(part) for part in command], input=given, capture_output=True, check=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )  # fmt: skip
    return done.stdout


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Returns a folder that goes with the process."""
    return tempfile.TemporaryDirectory(prefix="dits-ssh-")


def make_key(kind: str, number: int = 0) -> Path:
    """Returns the file of a private key of a kind as in TAKEN; the same one for the same arguments."""
    path = Path(_folder().name) / f"{kind}-{number}"
    if path.exists():
        return path
    name, _, bits = kind.partition("-")
    size = ("-b", bits) if bits else ()
    run_command("ssh-keygen", "-q", "-t", name, *size, "-N", "", "-C", "ada@desk", "-f", path)
    return path


def public_line(key: Path) -> str:
    """Returns the line of the `.pub` file."""
    return key.with_name(key.name + ".pub").read_text()


def sign(key: Path, message: str | bytes, namespace: str, hash_name: str = "sha512") -> str:
    """Returns the signature that ssh-keygen makes."""
    return run_command(
        "ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", namespace, "-O", f"hashalg={hash_name}",
        given=message.encode() if isinstance(message, str) else message,
    ).decode()  # fmt: skip


def armor(blob: bytes) -> str:
    """Returns a signature in armor."""
    text = base64.b64encode(blob).decode()
    lines = "\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n"


def unarmor(text: str) -> bytes:
    """Returns the bytes in armor."""
    return base64.b64decode("".join(text.splitlines()[1:-1]))


def mpint(number: int) -> bytes:
    """Returns a positive number as SSH encodes it."""
    return write_string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


@dataclass(slots=True)
class SecurityKey:
    """A security key of either type, as OpenSSH's PROTOCOL.u2f specifies it, made of software.

    Attributes:
        flags: 1 = it was touched, 4 = it asked for a PIN.
    """

    private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    application: bytes = b"ssh:"
    flags: int = 1
    counter: int = 7

    @property
    def name(self) -> bytes:
        """Its type, as SSH names it."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return b"sk-ssh-ed25519@openssh.com"
        return b"sk-ecdsa-sha2-nistp256@openssh.com"

    @property
    def blob(self) -> bytes:
        """Its public key."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            point = write_string(self.private.public_key().public_bytes_raw())
        else:
            public = self.private.public_key()
            raw = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            point = write_string(b"nistp256") + write_string(raw)
        return write_string(self.name) + point + write_string(self.application)

    @property
    def line(self) -> str:
        """The line of its `.pub` file."""
        return f"{self.name.decode()} {base64.b64encode(self.blob).decode()} stick\n"

    def sign(self, message: bytes, namespace: str) -> bytes:
        """Returns a signature without armor."""
        head = [namespace.encode(), b"", b"sha512"]
        outer = b"SSHSIG" + b"".join(map(write_string, [*head, hashlib.sha512(message).digest()]))
        said = bytes([self.flags]) + self.counter.to_bytes(4, "big")
        signed = hashlib.sha256(self.application).digest() + said + hashlib.sha256(outer).digest()
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            raw = self.private.sign(signed)
        else:
            der = self.private.sign(signed, ec.ECDSA(hashes.SHA256()))
            raw = b"".join(map(mpint, utils.decode_dss_signature(der)))
        inner = write_string(self.name) + write_string(raw) + said
        parts = b"".join(map(write_string, [self.blob, *head, inner]))
        return b"SSHSIG" + (1).to_bytes(4, "big") + parts


def make_security_keys() -> list[SecurityKey]:
    """Returns a security key of each type."""
    curve = ec.generate_private_key(ec.SECP256R1())
    return [SecurityKey(ed25519.Ed25519PrivateKey.generate()), SecurityKey(curve)]
