"""Signatures by the user's SSH keys, which OpenSSH makes: with files, an agent or a security key."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dits_client.errors import ClientError
from dits_client.terminal import quote_text
from shared.formats.canonical import FormatError
from shared.formats.ssh_keys import SshPublicKey, parse_key_line

# The files that ssh itself tries.
_USUAL_FILES = ("id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa")
_MOST_KEY_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that the user has, here or in the agent.

    Attributes:
        path: of its private or public file; None = only the agent has it.
        comment: what its owner wrote behind it; may be empty.
    """

    public: SshPublicKey
    path: Path | None
    comment: str

    def sign(self, content: bytes, namespace: str) -> str:
        """Return the signature of some bytes, in armor; ssh-keygen may ask for a passphrase or a touch."""
        if self.public.key_type.is_hardware:
            print("Touch your security key.", file=sys.stderr)
        with self._file() as path:
            command = ("ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(path))
            return _run_tool(command, content, f"{self.public.fingerprint} signs nothing")

    @contextmanager
    def _file(self) -> Iterator[Path]:
        """Give the path of the key; that of a public key tells ssh-keygen to ask the agent."""
        if self.path is not None:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="dits-") as folder:
            path = Path(folder) / "key.pub"
            path.write_text(self.public.line + "\n", encoding="utf-8")
            yield path


def read_key(path: Path) -> SigningKey:
    """Return the key of a private or public key file. Raises ClientError."""
    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    try:
        with public.open("rb") as file:
            text = file.read(_MOST_KEY_BYTES).decode(errors="replace")
        key, comment = parse_key_line(text)
    except FileNotFoundError:
        raise ClientError(f"there is no {quote_text(public)}") from None
    except FormatError as error:
        raise ClientError(f"{quote_text(public)} {error.description}") from None
    return SigningKey(key, path, comment)


def find_keys() -> Iterator[SigningKey]:
    """Yield the keys of the agent, then those of the usual files, each once."""
    seen = set()
    for key in (*_agent_keys(), *_usual_keys()):
        if key.public.blob not in seen:
            seen.add(key.public.blob)
            yield key


def _agent_keys() -> Iterator[SigningKey]:
    # On Windows the agent has a place of its own.
    if sys.platform != "win32" and not os.environ.get("SSH_AUTH_SOCK"):
        return
    try:
        listed = _run_tool(("ssh-add", "-L"), b"", "")
    except ClientError:
        # An agent without keys, or one that has gone.
        return
    for line in listed.splitlines():
        try:
            key, comment = parse_key_line(line)
        except FormatError:
            continue
        yield SigningKey(key, None, comment)


def _usual_keys() -> Iterator[SigningKey]:
    for name in _USUAL_FILES:
        try:
            yield read_key(Path.home() / ".ssh" / name)
        except (ClientError, OSError):
            continue


def _run_tool(command: tuple[str, ...], given: bytes, failure: str) -> str:
    """Return what a program of OpenSSH prints. Raises ClientError with what it says."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise ClientError(f"{command[0]} is needed: install OpenSSH") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ClientError(f"{failure}: {said[-1] if said else 'ssh-keygen failed'}")
    return done.stdout.decode()
