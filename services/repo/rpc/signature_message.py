"""The signature in a row of a commit or tag as a message."""

from __future__ import annotations

from dits.repo.v1.signature_pb2 import Signature, SignatureVerdict

from shared.db.pool import Row


def signature_message(row: Row) -> Signature | None:
    """Returns what is said of a signature, with the signature if the row has it; None = not signed."""
    verdict = row["signature_verdict"]
    if verdict is None:
        return None
    return Signature(
        verdict=SignatureVerdict.Value(f"SIGNATURE_VERDICT_{verdict.upper()}"),
        key_fingerprint=row["signature_key"],
        armored=(row["signature"] or b"").decode(),
    )
