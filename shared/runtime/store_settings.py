"""Settings of the place where packs lie."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PositiveFloat, PositiveInt
from pydantic_settings import NoDecode

from shared.runtime.setting_types import parse_json
from shared.runtime.store_url import check_store_url, check_store_urls, check_tier_urls

Region = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]

# A place, and the one that packs move from.
Places = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1, max_length=2),
]


ColdClass = Literal["infrequent", "glacier", "deep_archive"]
Delay = Annotated[float, Field(ge=0, le=7 * 86_400)]


class StoreSettings(BaseModel):
    """Where packs lie."""

    region: Region = Field(
        "local",
        description="name of the region that this server stores into",
    )
    store: Annotated[str | None, AfterValidator(check_store_url)] = Field(
        None,
        description="where packs lie: a directory, or s3://BUCKET/PREFIX?endpoint=URL&region=NAME with "
        "keys from the AWS_… variables; default: data_dir/chunks/REGION",
    )
    second_store: Annotated[str | None, AfterValidator(check_store_url)] = Field(
        None,
        description="another place where packs of this region may lie, while they move; new ones go to "
        "store; default: none",
    )
    stores: Annotated[
        dict[Region, Places],
        NoDecode,
        BeforeValidator(parse_json),
        AfterValidator(check_store_urls),
    ] = Field(
        {},
        description="where packs of other regions lie, as store says it, as JSON: "
        '{"far": "s3://BUCKET/PREFIX"}, or ["s3://NEW", "s3://OLD"] while a region moves; that of this '
        "server's own region counts unless store is set",
    )
    tiers: Annotated[
        dict[Region, dict[ColdClass, str]],
        NoDecode,
        BeforeValidator(parse_json),
        AfterValidator(check_tier_urls),
    ] = Field(
        {},
        description="where chunks of each region lie that are seldom read, as store says it, as JSON: "
        '{"local": {"infrequent": "DIRECTORY", "glacier": "s3://BUCKET/PREFIX"}}, and "deep_archive"; '
        "default: nothing moves",
    )
    glacier_seconds: Delay = Field(
        5 * 3600.0,
        description="how long it takes to restore what lies in glacier, seconds",
    )
    deep_archive_seconds: Delay = Field(
        48 * 3600.0, description="how long it takes to restore what lies in deep_archive, seconds"
    )
    restored_days: Annotated[float, Field(gt=0, le=365)] = Field(
        7.0, description="how long a restored chunk can be read, days"
    )
    store_seconds: PositiveFloat = Field(
        30.0, description="how long an S3 server may take for a request, seconds"
    )
    pack_bytes: PositiveInt = Field(
        64 << 20, description="size at which an upload's pack is made durable, bytes"
    )
