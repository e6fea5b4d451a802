"""Settings of every dits process: environment, file and command line, in one typed list."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from shared.runtime.collection_settings import CollectionSettings
from shared.runtime.mail_settings import MailSettings
from shared.runtime.option_help import SETTING_VALUE, ShortUsage
from shared.runtime.setting_names import describe_unknown
from shared.runtime.setting_types import (
    Cell,
    CellAddresses,
    DatabaseUrl,
    Host,
    Port,
    ServerKeyText,
    parse_json,
    require_networks,
    split_list,
)
from shared.runtime.store_settings import StoreSettings

SERVICES = ("auth", "repo", "chunk", "lock")


class ConfigError(Exception):
    """A setting is wrong; the text is one sentence for the operator."""


class Settings(CollectionSettings, MailSettings, StoreSettings, BaseSettings):
    """Each field is `--name value`, `DITS_NAME`, or `name` in the TOML file DITS_CONFIG."""

    model_config = SettingsConfigDict(env_prefix="DITS_", extra="forbid")

    data_dir: Path = Field(
        Path(".dits-data"), description="folder of the embedded database, the chunks and the key"
    )
    database_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL 15 or newer to use instead of the embedded one"
    )
    postgres_bin: Path | None = Field(
        None, description="bin folder of a system PostgreSQL to run as the embedded one"
    )
    server_key: ServerKeyText | None = Field(
        None,
        description="64 hex digits that seal secrets, for all services; default: data_dir/server.key",
    )
    accepted_server_key: ServerKeyText | None = Field(
        None, description="another key whose seals are good; default: data_dir/server.key.accepted"
    )
    host: Host = Field("127.0.0.1", description="address to listen on")
    auth_port: Port = Field(50051, description="port of the auth service; 0 = a free one")
    repo_port: Port = Field(50052, description="port of the repo service; 0 = a free one")
    chunk_port: Port = Field(50053, description="port of the chunk service; 0 = a free one")
    lock_port: Port = Field(50054, description="port of the lock service; 0 = a free one")
    auth_address: str | None = Field(
        None, description="where the other services reach auth; default: this machine, auth_port"
    )
    repo_address: str | None = Field(
        None, description="where lock reaches repo; default: this machine, repo_port"
    )
    chunk_address: str | None = Field(
        None, description="where repo reaches chunk; default: this machine, chunk_port"
    )
    cell: Cell = Field(0, description="number of the cell whose repositories this server holds")
    cells: Annotated[dict[Cell, CellAddresses], NoDecode, BeforeValidator(parse_json)] = Field(
        {},
        description="for auth: where clients reach the services of each cell, as JSON, "
        '{"1": {"repo": "host:port", "chunk": "host:port", "lock": "host:port"}}; '
        "its own cell may be left out if its services are beside it, at the usual ports",
    )
    pool_size: PositiveInt = Field(10, description="database connections per service")
    worker: bool = Field(
        True,
        description="whether a service works on jobs besides serving (--no-worker = it does not)",
    )
    audit_months: int = Field(
        0,
        ge=0,
        description="months that the audit log is kept besides the present one; 0 = for ever",
    )
    usage_months: int = Field(
        0, ge=0, description="months that usage is kept besides the present one; 0 = for ever"
    )
    registration_open: bool = Field(True, description="whether anyone may create an account")
    verified_logins: bool = Field(
        False, description="whether a new account must verify its address before it can log in"
    )
    hashing_slots: PositiveInt = Field(
        2,
        description="passwords of logins hashed at once (64 MiB each; registrations have a slot besides)",
    )
    trusted_proxies: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(require_networks)
    ] = Field(
        (),
        description="proxies whose x-forwarded-for is believed: addresses or networks, with commas",
    )
    webhook_allow: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(require_networks)
    ] = Field(
        (),
        description="networks that are not public to which webhooks may be sent all the same, "
        "also with http: addresses or networks, with commas",
    )
    webhook_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that certify receivers of webhooks; default: certifi's",
    )
    max_calls: PositiveInt = Field(1000, description="calls served at once per service")
    max_calls_each: PositiveInt = Field(
        256, description="calls served at once for one account, or one address without an account"
    )
    max_large_calls: PositiveInt = Field(
        128, description="calls served at once that send chunks or manifests, per service"
    )
    max_large_calls_each: PositiveInt = Field(32, description="such calls of one account")
    held_bytes: PositiveInt = Field(
        1 << 30,
        description="memory for chunks that are read ahead for callers or received from them, "
        "bytes; one account may hold a quarter",
    )
    push_memory_bytes: PositiveInt = Field(
        1 << 30,
        description="memory for pushes that are received and applied, bytes; one account may hold half",
    )
    first_message_seconds: PositiveFloat = Field(
        10.0, description="how long a call may go on without its first message, seconds"
    )
    idle_seconds: PositiveFloat = Field(
        120.0, description="how long a stream may go on without a message either way, seconds"
    )
    drain_seconds: PositiveFloat = Field(
        10.0, description="how long calls may go on after SIGTERM, seconds"
    )
    notification_days: Annotated[int, Field(ge=31)] = Field(
        90, description="how long auth keeps a notification after it was read, days"
    )
    metrics_port: Port | None = Field(
        None,
        description="port where Prometheus reads the metrics of the process, without a password: only "
        "its server should reach it; 0 = a free one; default: none",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe log entry that is written"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="form of the log; auto = for people on a terminal, else JSON"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line before environment before file."""
        del dotenv_settings, file_secret_settings
        file = os.environ.get("DITS_CONFIG")
        toml = (TomlConfigSettingsSource(settings_cls, Path(file)),) if file else ()
        return (init_settings, env_settings, *toml)

    def port(self, service: str) -> int:
        """The configured port of one service."""
        return int(getattr(self, f"{service}_port"))

    def cell_of(self, service: str) -> int | None:
        """The cell whose repositories a service holds; None = it answers for those of all cells."""
        return None if service == "auth" else self.cell


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds one option per setting, so that `--help` lists them all."""
    parser.formatter_class = ShortUsage
    group = parser.add_argument_group(
        "settings", "Each can also be given as an environment variable or in the file DITS_CONFIG."
    )
    for name, field in Settings.model_fields.items():
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            metavar=SETTING_VALUE,
            default=argparse.SUPPRESS,
            help=f"{field.description} [DITS_{name.upper()}{_tell_default(field)}]".replace(
                "%", "%%"
            ),
        )


def _tell_default(field: FieldInfo) -> str:
    """Returns what the help says of a default that the description does not tell."""
    if field.default is None or "default:" in (field.description or ""):
        return ""
    if isinstance(field.default, bool):
        return f"; default: {str(field.default).lower()}"
    return f"; default: {'none' if field.default in ((), {}) else field.default}"


def load(arguments: dict[str, Any] | None = None) -> Settings:
    """Reads the settings; `arguments` (from `add_options`) win. Raises ConfigError."""
    file = os.environ.get("DITS_CONFIG")
    if file and not Path(file).is_file():
        raise ConfigError(f"The settings file {file}, named by DITS_CONFIG, does not exist.")
    given = {k: v for k, v in (arguments or {}).items() if k in Settings.model_fields}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name, what = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            raise ConfigError(describe_unknown(name, Settings.model_fields)) from error
        raise ConfigError(f"The setting {name} is wrong: {what}.") from error
    except ValueError as error:
        raise ConfigError(f"The settings file {file} cannot be read: {error}.") from error
