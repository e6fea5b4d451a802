"""URLs of stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.runtime import config
from shared.runtime.config import ConfigError
from shared.runtime.store_url import S3Location, parse_store_url


def test_directories_and_buckets() -> None:
    assert parse_store_url("/srv/packs") == Path("/srv/packs")
    assert parse_store_url("s3://my-packs") == S3Location("my-packs")
    where = parse_store_url(
        "s3://my-packs/studio/a/?endpoint=http://127.0.0.1:8333&region=eu-1&storage_class=STANDARD_IA"
        "&encryption=aws:kms&kms_key=arn:aws:kms:eu-1:1:key/2&credentials=/run/secrets/s3"
    )
    assert where == S3Location(
        "my-packs",
        "studio/a",
        "http://127.0.0.1:8333",
        "eu-1",
        "STANDARD_IA",
        "aws:kms",
        "arn:aws:kms:eu-1:1:key/2",
        "/run/secrets/s3",
    )
    assert str(where) == "s3://my-packs/studio/a at http://127.0.0.1:8333"


@pytest.mark.parametrize(
    "text",
    [
        "http://my-packs/a", "s3://", "s3://ab", "s3://KEYS:secret@my-packs/a", "s3://my-packs/a//b",
        "s3://my-packs/../b", "s3://my-packs/a?who=1", "s3://my-packs/a?endpoint=127.0.0.1:8333",
        "s3://my-packs/a?endpoint=https://key:secret@host", "s3://my-packs/a#b", "s3://my-packs/a?region",
        "s3://my-packs/a?storage_class=GLACIER", "s3://my-packs/a?storage_class=DEEP_ARCHIVE",
    ],
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the sentences are for people
        parse_store_url(text)
    with pytest.raises(ConfigError, match="The setting store is wrong"):
        config.load({"store": text})


def test_stores_of_regions() -> None:
    far = '{"far": "s3://my-packs", "moves": ["/new", "/old"]}'
    assert config.load({"stores": far}).stores == {
        "far": ("s3://my-packs",),
        "moves": ("/new", "/old"),
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"far": "ftp://there"}',
        '{"Far away": "/there"}',
        '{"far": []}',
        '{"far": ["/a", "/b", "/c"]}',
        "{",
    ],
)
def test_wrong_stores_of_regions(text: str) -> None:
    with pytest.raises(ConfigError, match="The setting stores"):
        config.load({"stores": text})
