"""Signatures of requests to S3, against the example that Amazon publishes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.chunk.stores.s3_signing import S3Signer
from shared.runtime.store_url import S3Location


def test_the_example_of_amazon(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(
        "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n"
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"
    )
    where = S3Location("examplebucket", region="us-east-1", credentials=str(file))
    signer = S3Signer(where)
    # Of the documentation: it has the bucket in the name of the host.
    signer._endpoint, signer._base = "https://examplebucket.s3.amazonaws.com", ""
    signed = signer.sign(
        "GET", "test.txt", {}, timedelta(days=1), datetime(2013, 5, 24, tzinfo=UTC)
    )
    assert signed.url.endswith(
        "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_without_keys_nothing_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert not S3Signer(S3Location("bucket")).can_sign
