"""Signatures of ssh-keygen, of ssh-agents and of security keys, and what is no signature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.canonical import FormatError
from shared.formats.ssh_keys import parse_key_line
from shared.formats.ssh_wire import write_string
from shared.formats.sshsig import (
    BadSignature,
    parse_signature,
    parse_signature_blob,
    verify_signature,
)
from tests.support.ssh import (
    TAKEN,
    SecurityKey,
    armor,
    make_key,
    make_security_keys,
    needs_ssh,
    public_line,
    run_command,
    sign,
    unarmor,
)

MESSAGE = "who goes there?"
NAMESPACE = "dits-login-v1"


def is_refused(blob: bytes, message: str = MESSAGE, namespace: str = NAMESPACE) -> bool:
    """Whether a signature without armor is refused in one of the two ways."""
    try:
        verify_signature(parse_signature_blob(blob), message.encode(), namespace)
    except (FormatError, BadSignature):
        return True
    return False


@needs_ssh
@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_signatures_of_ssh_keygen_are_good(kind: str, hash_name: str) -> None:
    path = make_key(kind)
    signature = parse_signature(sign(path, MESSAGE, NAMESPACE, hash_name))
    verify_signature(signature, MESSAGE.encode(), NAMESPACE)
    assert signature.key == parse_key_line(public_line(path))[0]
    with pytest.raises(BadSignature):
        verify_signature(signature, MESSAGE.encode(), "dits-commit-v1")
    with pytest.raises(BadSignature):
        verify_signature(signature, MESSAGE.encode() + b"\n", NAMESPACE)


@needs_ssh
@pytest.mark.parametrize("kind", TAKEN)
def test_no_byte_of_a_signature_can_be_changed(kind: str) -> None:
    blob = unarmor(sign(make_key(kind), MESSAGE, NAMESPACE))
    assert not is_refused(blob)
    for at in range(len(blob)):
        for bit in (0x01, 0x80):
            changed = blob[:at] + bytes([blob[at] ^ bit]) + blob[at + 1 :]
            assert is_refused(changed), at
        assert is_refused(blob[:at])
    assert is_refused(blob + b"\0")


@needs_ssh
def test_no_character_of_the_armor_can_be_changed() -> None:
    text = sign(make_key("ed25519"), MESSAGE, NAMESPACE).strip()
    for at in range(len(text)):
        for bit in range(7):
            changed = text[:at] + chr(ord(text[at]) ^ 1 << bit) + text[at + 1 :]
            try:
                assert is_refused(_blob(changed)), (at, bit)
            except FormatError:
                continue


def _blob(text: str) -> bytes:
    parse_signature(text)
    return unarmor(text)


@dataclass(slots=True)
class Agent:
    """A running ssh-agent: the path of its socket."""

    socket: str


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An ssh-agent of the test's own."""
    socket = str(tmp_path / "agent")
    told = run_command("ssh-agent", "-a", socket).decode()
    pid = told.split("SSH_AGENT_PID=")[1].split(";")[0]
    yield Agent(socket)
    run_command("ssh-agent", "-k", SSH_AGENT_PID=pid, SSH_AUTH_SOCK=socket)


@needs_ssh
@pytest.mark.parametrize("kind", TAKEN)
def test_signatures_of_an_agent_are_good(kind: str, agent: Agent, tmp_path: Path) -> None:
    run_command("ssh-add", "-q", make_key(kind), SSH_AUTH_SOCK=agent.socket)
    public = tmp_path / "only.pub"
    public.write_text(public_line(make_key(kind)))
    armored = run_command(
        "ssh-keygen", "-Y", "sign", "-q", "-f", public, "-n", NAMESPACE, given=MESSAGE.encode(),
        SSH_AUTH_SOCK=agent.socket,
    ).decode()  # fmt: skip
    verify_signature(parse_signature(armored), MESSAGE.encode(), NAMESPACE)


@needs_ssh
def test_ssh_keygen_takes_what_the_security_keys_of_these_tests_sign(tmp_path: Path) -> None:
    for stick in make_security_keys():
        signers, signature = tmp_path / "signers", tmp_path / "signature"
        signers.write_text(f"ada {stick.line}")
        signature.write_text(armor(stick.sign(MESSAGE.encode(), NAMESPACE)))
        told = run_command(
            "ssh-keygen", "-Y", "verify", "-f", signers, "-I", "ada", "-n", NAMESPACE,
            "-s", signature, given=MESSAGE.encode(),
        )  # fmt: skip
        assert told.startswith(b"Good")


def test_security_keys_must_have_seen_their_user() -> None:
    for stick in make_security_keys():
        assert not is_refused(stick.sign(MESSAGE.encode(), NAMESPACE))
        stick.flags, stick.counter = 5, 0
        assert not is_refused(stick.sign(MESSAGE.encode(), NAMESPACE))
        stick.flags = 4
        assert is_refused(stick.sign(MESSAGE.encode(), NAMESPACE))


def test_no_byte_of_a_security_keys_signature_can_be_changed() -> None:
    for stick in make_security_keys():
        blob = stick.sign(MESSAGE.encode(), NAMESPACE)
        assert not is_refused(blob)
        for at in range(len(blob)):
            changed = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
            assert is_refused(changed), at


@needs_ssh
def test_small_keys_and_certificates_sign_nothing() -> None:
    with pytest.raises(FormatError, match="2048 bits"):
        parse_signature(sign(make_key("rsa-2048"), MESSAGE, NAMESPACE))


def test_other_versions_hashes_and_reserved_parts_are_refused() -> None:
    stick = SecurityKey(ed25519.Ed25519PrivateKey.generate())
    blob = stick.sign(MESSAGE.encode(), NAMESPACE)
    reserved = write_string(NAMESPACE.encode()) + write_string(b"")
    for old, new, why in [
        (b"SSHSIG\0\0\0\1", b"SSHSIG\0\0\0\2", "version 1"),
        (b"sha512", b"sha384", "another hash"),
        (reserved, write_string(NAMESPACE.encode()) + write_string(b"x"), "reserved"),
    ]:
        with pytest.raises(FormatError, match=why):
            parse_signature_blob(blob.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "x", "x" * 20_000, armor(b""), armor(b"SSHSIG"), "é\ud800"])
def test_what_is_no_signature(text: str) -> None:
    with pytest.raises(FormatError):
        parse_signature(text)


@given(st.binary(max_size=300))
def test_no_bytes_are_an_exception_of_another_kind(blob: bytes) -> None:
    assert is_refused(b"SSHSIG\0\0\0\1" + blob)
    assert is_refused(blob)
