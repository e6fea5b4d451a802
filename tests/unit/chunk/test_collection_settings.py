"""The settings of the collection: times with which the database and the service can reckon."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.runtime.collection_settings import CollectionSettings

TIMES = (
    "claim_lease_seconds",
    "chunk_grace_seconds",
    "reader_grace_seconds",
    "open_pack_seconds",
    "scrub_days",
)


@pytest.mark.parametrize("name", TIMES)
def test_times_that_no_clock_reaches_are_refused(name: str) -> None:
    for value in ("inf", "nan", "1000000000000", "-1"):
        with pytest.raises(ValidationError):
            CollectionSettings.model_validate({name: value})
    assert CollectionSettings.model_validate({name: "36500"})
