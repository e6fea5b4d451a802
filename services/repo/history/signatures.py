"""Signatures of commits and tags: checking one without the database, storing them, judging them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field
from shared.formats.canonical import FormatError
from shared.formats.sshsig import BadSignature, SshSignature, parse_signature, verify_signature
from shared.formats.text import fold_case

Q = sql.load(__file__)

BATCH = 1_000
BAD, WRONG_NAMESPACE = "bad", "wrong_namespace"
# What no change of a key or account makes good.
FINAL = frozenset({BAD, WRONG_NAMESPACE})
_NOBODY = UUID(int=0)
# Fingerprints are of letters, digits and `:+/`.
_AFTER_ALL = "~"


@dataclass(frozen=True, slots=True)
class GivenSignature:
    """A signature in good form, of which nothing is known yet; `armored` is its text."""

    armored: str
    parsed: SshSignature


@dataclass(frozen=True, slots=True)
class CheckedSignature:
    """A signature of which it is known whether its key made it.

    Attributes:
        armored: its text.
        key: fingerprint of the key that it brings along.
        email: the address that the account of the key has to have, as `users.email_key`.
        fault: why it can never be good, as a verdict; None if that is for the account to say.
    """

    armored: str
    key: str
    email: str
    fault: str | None


def parse_given_signature(field: str, armored: str) -> GivenSignature:
    """Returns a signature. Raises INVALID_FIELD for what is none."""
    try:
        return GivenSignature(armored, parse_signature(armored))
    except FormatError as error:
        raise invalid_field(field, error.description) from None


def check_given_signature(
    given: GivenSignature, content: bytes, namespace: str, email: str
) -> CheckedSignature:
    """Returns what can be said of the signature of some bytes by a person with an address. Slow."""
    fault: str | None = None
    if given.parsed.namespace != namespace.encode():
        fault = WRONG_NAMESPACE
    else:
        try:
            verify_signature(given.parsed, content, namespace)
        except (BadSignature, FormatError):
            fault = BAD
    return CheckedSignature(given.armored, given.parsed.key.fingerprint, fold_case(email), fault)


async def sign_commits(
    connection: Connection, repository_id: UUID, signatures: Mapping[str, CheckedSignature]
) -> None:
    """Stores signatures by the hashes of their commits, which are in the database."""
    if not signatures:
        return
    hashes = sorted(signatures)
    some = [signatures[name] for name in hashes]
    await connection.execute(
        *Q.bind.sign_commits(
            repository_id=repository_id,
            hashes=hashes,
            signatures=[signature.armored.encode() for signature in some],
            keys=[signature.key for signature in some],
            emails=[signature.email for signature in some],
            faults=[signature.fault for signature in some],
        )
    )


class SignatureReview:
    """Judges stored signatures again, of one key or (None) of all, some in each transaction."""

    def __init__(self, database: Database, key: str | None) -> None:
        self._database = database
        self._first = (key or "", _NOBODY, "")
        self._last_key = key or _AFTER_ALL
        self._bind, self._judge = Q.bind.next_commits, Q.judge_commits
        self._after = self._first

    async def judge_next(self) -> int:
        """Returns how many signatures were judged; 0 = all are."""
        rows = await self._database.transaction(self._judge_some)
        if not rows and self._judge is Q.judge_commits:
            self._bind, self._judge = Q.bind.next_tags, Q.judge_tags
            self._after = self._first
            rows = await self._database.transaction(self._judge_some)
        if rows:
            self._after = (rows[-1]["key"], rows[-1]["repo_id"], rows[-1]["name"])
        return len(rows)

    async def _judge_some(self, connection: Connection) -> list[Row]:
        key, repository_id, name = self._after
        rows = await connection.fetch(
            *self._bind(
                last_key=self._last_key,
                after_key=key,
                after_repository=repository_id,
                after_name=name,
                count=BATCH,
            )
        )
        changed = [row for row in rows if row["before"] not in {*FINAL, row["verdict"]}]
        if changed:
            columns = [
                [row[name] for row in changed] for name in ("repo_id", "name", "key", "verdict")
            ]
            await connection.execute(self._judge, *columns)
        return rows
