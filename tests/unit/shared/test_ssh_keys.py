"""Public SSH keys: which are taken, in which form, and under which fingerprint."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.canonical import FormatError
from shared.formats.ssh_keys import SshKeyType, parse_key_blob, parse_key_line
from shared.formats.ssh_wire import write_string
from tests.support.ssh import (
    TAKEN,
    SecurityKey,
    make_key,
    make_security_keys,
    mpint,
    needs_ssh,
    public_line,
    run_command,
)

FIELD_25519 = 2**255 - 19


def refuse(text: str) -> str:
    """Returns why a line is refused."""
    with pytest.raises(FormatError) as caught:
        parse_key_line(text)
    return caught.value.description


def ed25519_line(point: bytes, name: str = "ssh-ed25519") -> str:
    blob = write_string(b"ssh-ed25519") + write_string(point)
    return f"{name} {base64.b64encode(blob).decode()}"


@needs_ssh
@pytest.mark.parametrize("kind", TAKEN)
def test_keys_have_the_fingerprints_of_ssh_keygen(kind: str) -> None:
    path = make_key(kind)
    key, comment = parse_key_line(public_line(path))
    assert comment == "ada@desk"
    bits, fingerprint, *_ = run_command("ssh-keygen", "-l", "-f", path).decode().split()
    assert key.fingerprint == fingerprint
    assert bits == {"ed25519": "256"}.get(kind, kind.rpartition("-")[2])
    assert public_line(path) == f"{key.line} ada@desk\n"


@needs_ssh
def test_ssh_keygen_knows_the_keys_of_security_keys() -> None:
    for stick in make_security_keys():
        key, comment = parse_key_line(stick.line)
        assert (comment, key.application, key.key_type.is_hardware) == ("stick", b"ssh:", True)
        shown = run_command("ssh-keygen", "-l", "-f", "-", given=stick.line.encode()).decode()
        assert shown.split()[1] == key.fingerprint


@needs_ssh
@pytest.mark.parametrize("bits", ["1024", "2048"])
def test_small_rsa_keys_are_refused(bits: str) -> None:
    assert f"RSA key of {bits} bits" in refuse(public_line(make_key(f"rsa-{bits}")))


@needs_ssh
def test_dsa_keys_are_refused() -> None:
    assert "DSA" in refuse(public_line(make_key("dsa")))


@needs_ssh
def test_certificates_are_refused() -> None:
    authority, key = make_key("ed25519", 1), make_key("ed25519", 2)
    run_command("ssh-keygen", "-q", "-s", authority, "-I", "ada", "-n", "ada", f"{key}.pub")
    assert "certificate" in refuse(key.with_name(f"{key.name}-cert.pub").read_text())


@needs_ssh
def test_a_private_key_is_refused_without_a_word_of_it() -> None:
    private = make_key("ed25519").read_text()
    pem = run_command("openssl", "genpkey", "-algorithm", "ed25519").decode()
    for text in (private, "  " + private, pem, "PuTTY-User-Key-File-3: ssh-ed25519\nsecret"):
        assert refuse(text) == "is a private key: keep it, and send the file ending in .pub"
    # Without its frame it is an unusual line, and no line is repeated.
    body = private.splitlines()[1]
    assert body not in refuse(body)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "one line"),
        ("ssh-ed25519", "one line"),
        ("ssh-ed25519 ???", "one line"),
        ("ssh-ed25519 AAAA", "is cut off"),
        ("ssh-ed25519 AAA", "is not base64"),
        ("ssh-ed25519 AAAB", "is cut off"),
        ('no-pty,command="x" ssh-ed25519 AAAA', "one line"),
        ("ssh-ed25519 AAAA\nssh-ed25519 AAAA", "one line"),
        ("ssh-ed448 AAAA", "of a type that is not taken"),
        ("x" * 9000, "more than 8192 bytes"),
        (ed25519_line(bytes(range(32)), "ssh-rsa"), "of another type than its line says"),
        (ed25519_line(bytes(31)), "not 32 bytes"),
        (ed25519_line(bytes(33)), "more than 32"),
    ],
)
def test_lines_that_are_no_keys(text: str, why: str) -> None:
    assert why in refuse(text)


def test_points_that_anyone_can_sign_for_are_refused() -> None:
    # Points of order 8: twice such a point has the y 0, so d·y⁴ + 2·y² = 1.
    order_8 = int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    )
    d = -121665 * pow(121666, -1, FIELD_25519)
    assert (d * order_8**4 + 2 * order_8**2 - 1) % FIELD_25519 == 0
    ys = [0, 1, FIELD_25519 - 1, order_8, FIELD_25519 - order_8, FIELD_25519, FIELD_25519 + 1]
    for y in ys:
        for sign in (0, 0x80):
            point = bytearray(y.to_bytes(32, "little"))
            point[31] |= sign
            assert "is no key" in refuse(ed25519_line(bytes(point)))


def test_numbers_that_are_no_key_are_refused() -> None:
    rsa = [mpint(65537), mpint((1 << 3072) + 1)]
    head = write_string(b"ssh-rsa")
    parse_key_blob("k", head + b"".join(rsa))
    bad = {
        "behind its end": [*rsa, b"\0"],
        "are no key": [mpint(65536), rsa[1]],
        "shortest form": [write_string(b"\0\1\0\1"), rsa[1]],
        "not positive": [write_string(b"\xff"), rsa[1]],
        "more than 5": [mpint(1 << 40), rsa[1]],
        "more than 2049": [rsa[0], mpint(1 << 16392)],
    }
    for why, parts in bad.items():
        with pytest.raises(FormatError, match=why):
            parse_key_blob("k", head + b"".join(parts))


def test_points_off_their_curve_are_refused() -> None:
    name = SshKeyType.ECDSA_P256
    head = write_string(name.encode()) + write_string(b"nistp256")
    for point, why in [
        (b"\4" + bytes(64), "are no key"),
        (b"\2" + bytes(32), "uncompressed"),
        (b"\0", "uncompressed"),
    ]:
        with pytest.raises(FormatError, match=why):
            parse_key_blob("k", head + write_string(point))
    other = write_string(name.encode()) + write_string(b"nistp384") + write_string(b"")
    with pytest.raises(FormatError, match="another curve"):
        parse_key_blob("k", other)


def test_a_security_key_of_a_website_is_refused() -> None:
    stick = SecurityKey(ed25519.Ed25519PrivateKey.generate(), application=b"example.com")
    assert refuse(stick.line) == "was not made for SSH"


@given(st.binary(max_size=200))
def test_no_bytes_are_an_exception_of_another_kind(blob: bytes) -> None:
    for head in (b"", *(write_string(kind.encode()) for kind in SshKeyType)):
        try:
            parse_key_blob("k", head + blob)
        except FormatError:
            continue
