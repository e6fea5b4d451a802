"""Signatures as `ssh-keygen -Y sign` and ssh-agents make them (OpenSSH, PROTOCOL.sshsig). Pure.

A signature is good for one namespace, which says what was signed: a login is no commit. Who verifies
one decides whose the key has to be: a signature brings its key along.
"""

import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from shared.formats.canonical import FormatError
from shared.formats.ssh_keys import (
    MAX_BLOB_BYTES,
    MOST_RSA_BITS,
    SshKeyType,
    SshPublicKey,
    parse_key_blob,
)
from shared.formats.ssh_wire import WireReader, decode_base64, write_string

# What is signed, by namespace.
LOGIN_NAMESPACE = "dits-login-v1"
KEY_NAMESPACE = "dits-key-v1"
COMMIT_NAMESPACE = "dits-commit-v1"
TAG_NAMESPACE = "dits-tag-v1"

# A signature by a key of 16,384 bits has 6 KB.
MAX_ARMOR_BYTES = 12_288

_MAGIC = b"SSHSIG"
_VERSION = 1
_MAX_WORD_BYTES = 64
_MAX_SIGNATURE_BYTES = MAX_BLOB_BYTES
_FIELD = "signature"
_ARMOR = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\r?\n((?:[A-Za-z0-9+/=]{1,80}\r?\n)+)-----END SSH SIGNATURE-----"
)
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_CURVE_HASHES: dict[SshKeyType, hashes.HashAlgorithm] = {
    SshKeyType.ECDSA_P256: hashes.SHA256(),
    SshKeyType.ECDSA_P384: hashes.SHA384(),
    SshKeyType.ECDSA_P521: hashes.SHA512(),
    SshKeyType.SK_ECDSA_P256: hashes.SHA256(),
}
_RSA_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    b"rsa-sha2-256": hashes.SHA256(),
    b"rsa-sha2-512": hashes.SHA512(),
}
# Bits of the flags of a security key.
_USER_PRESENT = 0x01


class BadSignature(Exception):  # noqa: N818  the field's word
    """A signature in good form that its key did not make for this message and namespace."""


@dataclass(frozen=True, slots=True)
class SshSignature:
    """A signature in good form, of which nothing is known yet.

    Attributes:
        key: whose it claims to be.
        blob: the key's own signature, as SSH encodes it.
    """

    key: SshPublicKey
    namespace: bytes
    hash_name: bytes
    blob: bytes


def parse_signature(armored: str) -> SshSignature:
    """Return the signature in a `.sig` file. Raises FormatError of `signature`."""
    if len(armored) > MAX_ARMOR_BYTES:
        raise FormatError(_FIELD, f"has more than {MAX_ARMOR_BYTES} bytes")
    match = _ARMOR.fullmatch(armored.strip())
    if match is None:
        raise FormatError(_FIELD, "is not what `ssh-keygen -Y sign` writes")
    return parse_signature_blob(decode_base64(_FIELD, re.sub(r"\s", "", match[1])))


def parse_signature_blob(blob: bytes) -> SshSignature:
    """Return the signature of an encoding without armor. Raises FormatError of `signature`."""
    reader = WireReader(_FIELD, blob)
    if reader.read_bytes(len(_MAGIC)) != _MAGIC or reader.read_uint32() != _VERSION:
        raise reader.error("is not a signature of version 1")
    key = parse_key_blob(_FIELD, reader.read_string(MAX_BLOB_BYTES))
    namespace = reader.read_string(_MAX_WORD_BYTES)
    # Reserved for later versions, which are other versions.
    if reader.read_string(_MAX_WORD_BYTES):
        raise reader.error("has a reserved part that is not empty")
    hash_name = reader.read_string(_MAX_WORD_BYTES)
    if hash_name not in _HASHES:
        raise reader.error("has another hash than sha256 or sha512")
    inner = reader.read_string(_MAX_SIGNATURE_BYTES)
    reader.read_end()
    return SshSignature(key, namespace, hash_name, inner)


def verify_signature(signature: SshSignature, message: bytes, namespace: str) -> None:
    """Raise BadSignature unless the signature's key made it for this message and namespace.

    A security key must have seen its user. Raises FormatError for what is no signature of the key's type.
    """
    if signature.namespace != namespace.encode():
        raise BadSignature
    parts = (signature.namespace, b"", signature.hash_name, _hash(signature.hash_name, message))
    signed = _MAGIC + b"".join(map(write_string, parts))
    try:
        _verify(signature.key, signature.blob, signed)
    except InvalidSignature:
        raise BadSignature from None


def _hash(name: bytes, message: bytes) -> bytes:
    return _HASHES[name](message).digest()


def _verify(key: SshPublicKey, blob: bytes, signed: bytes) -> None:
    reader = WireReader(_FIELD, blob)
    algorithm = reader.read_string(_MAX_WORD_BYTES)
    if isinstance(key.verifier, rsa.RSAPublicKey):
        if algorithm not in _RSA_HASHES:
            raise reader.error("is of another algorithm than rsa-sha2-256 or rsa-sha2-512")
        _verify_rsa(reader, key.verifier, signed, _RSA_HASHES[algorithm])
        return
    if algorithm != key.key_type.encode():
        raise reader.error("is of another algorithm than its key")
    raw = reader.read_string(_MAX_SIGNATURE_BYTES)
    if key.key_type.is_hardware:
        signed = _read_hardware(reader, key, signed)
    reader.read_end()
    if isinstance(key.verifier, ed25519.Ed25519PublicKey):
        key.verifier.verify(raw, signed)
    else:
        _verify_ecdsa(key.verifier, raw, signed, _CURVE_HASHES[key.key_type])


def _read_hardware(reader: WireReader, key: SshPublicKey, signed: bytes) -> bytes:
    """Return what a security key has signed: not the message, but a hash of it."""
    flags = reader.read_bytes(1)
    counter = reader.read_bytes(4)
    if not flags[0] & _USER_PRESENT:
        raise BadSignature
    application = hashlib.sha256(key.application).digest()
    return application + flags + counter + hashlib.sha256(signed).digest()


def _verify_rsa(
    reader: WireReader, key: rsa.RSAPublicKey, signed: bytes, algorithm: hashes.HashAlgorithm
) -> None:
    raw = reader.read_string(MOST_RSA_BITS // 8)
    reader.read_end()
    # Some agents leave out zeros at the beginning.
    key.verify(raw.rjust(key.key_size // 8, b"\0"), signed, padding.PKCS1v15(), algorithm)


def _verify_ecdsa(
    key: ec.EllipticCurvePublicKey, raw: bytes, signed: bytes, algorithm: hashes.HashAlgorithm
) -> None:
    reader = WireReader(_FIELD, raw)
    size = (key.key_size + 7) // 8
    r, s = reader.read_mpint(size), reader.read_mpint(size)
    reader.read_end()
    key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(algorithm))
