"""Settings of the catalog of chunks, and of its collection."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

# A century: what is added to the time stays a time.
_MOST_DAYS = 36_525.0
_Seconds = Annotated[float, Field(ge=0, le=_MOST_DAYS * 86_400)]


class CollectionSettings(BaseModel):
    """What is known of chunks in memory, and when what nobody refers to goes."""

    claim_lease_seconds: int = Field(
        86_400,
        gt=0,
        le=int(_MOST_DAYS) * 86_400,
        description="how long a chunk without a commit is kept, seconds",
    )
    unreachable_seconds: _Seconds = Field(
        30 * 86_400.0,
        description="how long commits and their files are kept after the last branch or tag has left them, "
        "seconds",
    )
    presence_filter_bytes: Annotated[int, Field(ge=0)] = Field(
        128 << 20,
        description="memory in which chunk keeps the hashes of the repositories that are asked most which "
        "chunks they lack, 8 bytes a chunk; 0 = none",
    )
    chunk_grace_seconds: _Seconds = Field(
        30 * 86_400.0,
        description="how long a chunk is kept after its last reference went, seconds",
    )
    reader_grace_seconds: _Seconds = Field(
        86_400.0,
        description="how long an object stays in its store after no chunk is in it any more, seconds: "
        "more than the longest download, the lag of a standby that may take over, and the age of a "
        "backup that may be restored",
    )
    open_pack_seconds: _Seconds = Field(
        86_400.0,
        description="after what time the pack of an upload that has not finished it is given up, seconds",
    )
    scrub_days: float = Field(
        30.0,
        gt=0,
        le=_MOST_DAYS,
        description="how often each stored chunk is read and verified, days",
    )
    compaction_dead_percent: float = Field(
        50.0,
        gt=0,
        le=100,
        description="what share of a pack's bytes has to be dead space before it is compacted",
    )
    collection_limit_percent: float = Field(
        20.0,
        ge=0,
        le=100,
        description="what share of all chunks a collection may delete at once without an operator's word, "
        "and of all objects an inventory",
    )
