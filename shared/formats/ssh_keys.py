"""Public SSH keys: the types that are good enough, their one-line form and their fingerprints. Pure.

Refused are DSA, RSA below 3072 bits, certificates, and points that anyone can sign for. No error
repeats a part of what was given: people paste private keys.
"""

import base64
import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from shared.formats.canonical import FormatError
from shared.formats.ssh_wire import WireReader, decode_base64

LEAST_RSA_BITS = 3072
MOST_RSA_BITS = 16384
# A key of 16,384 bits, with room to spare.
MAX_BLOB_BYTES = 4096
# One line, with a comment.
MAX_LINE_BYTES = 8192
_MAX_NAME_BYTES = 64
_MAX_APPLICATION_BYTES = 1024
_LINE = re.compile(r"([!-~]+)[ \t]+([A-Za-z0-9+/=]+)(?:[ \t]+(.*))?")
# The y of the points of small order of curve 25519, little-endian, without the sign of x.
_SMALL_ORDER = frozenset(
    {
        bytes(32),
        b"\x01" + bytes(31),
        b"\xec" + b"\xff" * 30 + b"\x7f",
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    }
)
_FIELD_25519 = 2**255 - 19

VerifyingKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class SshKeyType(StrEnum):
    """The types of keys that are taken, by the names that SSH gives them."""

    ED25519 = "ssh-ed25519"
    SK_ED25519 = "sk-ssh-ed25519@openssh.com"
    ECDSA_P256 = "ecdsa-sha2-nistp256"
    ECDSA_P384 = "ecdsa-sha2-nistp384"
    ECDSA_P521 = "ecdsa-sha2-nistp521"
    SK_ECDSA_P256 = "sk-ecdsa-sha2-nistp256@openssh.com"
    RSA = "ssh-rsa"

    @property
    def is_hardware(self) -> bool:
        """Whether the private key is in a security key (FIDO)."""
        return self in (SshKeyType.SK_ED25519, SshKeyType.SK_ECDSA_P256)


# Each type of ECDSA with the name of its curve, the curve, and the bytes of a coordinate.
_CURVES: dict[SshKeyType, tuple[bytes, ec.EllipticCurve, int]] = {
    SshKeyType.ECDSA_P256: (b"nistp256", ec.SECP256R1(), 32),
    SshKeyType.ECDSA_P384: (b"nistp384", ec.SECP384R1(), 48),
    SshKeyType.ECDSA_P521: (b"nistp521", ec.SECP521R1(), 66),
    SshKeyType.SK_ECDSA_P256: (b"nistp256", ec.SECP256R1(), 32),
}


@dataclass(frozen=True, slots=True)
class SshPublicKey:
    """A public key that is good enough.

    Attributes:
        blob: its encoding, which names it.
        application: of a key in hardware, what it was made for (`ssh:`); else empty.
        verifier: what checks its signatures.
    """

    key_type: SshKeyType
    blob: bytes
    application: bytes
    verifier: VerifyingKey = field(compare=False)

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` shows: `SHA256:` and 43 digits of base64."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        """Its form in `authorized_keys`, without a comment."""
        return f"{self.key_type} {base64.b64encode(self.blob).decode()}"


def parse_key_line(text: str) -> tuple[SshPublicKey, str]:
    """Return the key in a `.pub` file, and its comment. Raises FormatError of `public_key`."""
    if "PRIVATE KEY" in text or text.startswith("PuTTY-User-Key-File"):
        raise FormatError(
            "public_key", "is a private key: keep it, and send the file ending in .pub"
        )
    line = text.strip()
    if len(line.encode(errors="replace")) > MAX_LINE_BYTES:
        raise FormatError("public_key", f"has more than {MAX_LINE_BYTES} bytes")
    match = _LINE.fullmatch(line)
    if match is None:
        raise FormatError("public_key", "is not one line of the form: type, base64, comment")
    name, encoded, comment = match[1], match[2], match[3] or ""
    # Before anything else, because this is what people are told about keys that are not taken.
    _require_type("public_key", name.encode())
    key = parse_key_blob("public_key", decode_base64("public_key", encoded))
    if key.key_type != name:
        raise FormatError("public_key", "is of another type than its line says")
    return key, comment


def parse_key_blob(name: str, blob: bytes) -> SshPublicKey:
    """Return the key of an encoding. Raises FormatError of the field `name`."""
    if len(blob) > MAX_BLOB_BYTES:
        raise FormatError(name, f"has more than {MAX_BLOB_BYTES} bytes")
    reader = WireReader(name, blob)
    key_type = _require_type(name, reader.read_string(_MAX_NAME_BYTES))
    try:
        verifier = _read_verifier(reader, key_type)
    except FormatError:
        raise
    except (ValueError, UnsupportedAlgorithm):
        raise reader.error("has numbers that are no key") from None
    application = reader.read_string(_MAX_APPLICATION_BYTES) if key_type.is_hardware else b""
    if key_type.is_hardware and not application.startswith(b"ssh:"):
        raise reader.error("was not made for SSH")
    reader.read_end()
    return SshPublicKey(key_type, blob, application, verifier)


def _require_type(name: str, given: bytes) -> SshKeyType:
    try:
        return SshKeyType(given.decode("ascii"))
    except ValueError:
        pass
    if given.endswith(b"-cert-v01@openssh.com"):
        raise FormatError(name, "is a certificate: the key itself is needed")
    if given == b"ssh-dss":
        raise FormatError(name, "is a DSA key, which is too weak")
    known = "ed25519, ECDSA, RSA, or one in a security key"
    raise FormatError(name, f"is of a type that is not taken: it must be {known}")


def _read_verifier(reader: WireReader, key_type: SshKeyType) -> VerifyingKey:
    if key_type is SshKeyType.RSA:
        return _read_rsa(reader)
    if key_type in _CURVES:
        return _read_ecdsa(reader, *_CURVES[key_type])
    point = reader.read_string(32)
    if len(point) != 32:
        raise reader.error("has a point that is not 32 bytes")
    without_sign = point[:31] + bytes([point[31] & 0x7F])
    if int.from_bytes(without_sign, "little") >= _FIELD_25519 or without_sign in _SMALL_ORDER:
        raise reader.error("has a point that is no key")
    return ed25519.Ed25519PublicKey.from_public_bytes(point)


def _read_rsa(reader: WireReader) -> rsa.RSAPublicKey:
    exponent = reader.read_mpint(4)
    modulus = reader.read_mpint(MOST_RSA_BITS // 8)
    if modulus.bit_length() < LEAST_RSA_BITS:
        raise reader.error(
            f"is an RSA key of {modulus.bit_length()} bits: at least {LEAST_RSA_BITS} are needed"
        )
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _read_ecdsa(
    reader: WireReader, name: bytes, curve: ec.EllipticCurve, size: int
) -> ec.EllipticCurvePublicKey:
    if reader.read_string(_MAX_NAME_BYTES) != name:
        raise reader.error("is on another curve than its type says")
    point = reader.read_string(1 + 2 * size)
    if len(point) != 1 + 2 * size or point[0] != 4:
        raise reader.error("has a point that is not in the uncompressed form")
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
